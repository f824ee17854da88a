#include "edge/coding.h"

#include <brotli/encode.h>
#include <zlib.h>
#include <zstd.h>

#include <array>

namespace archipel::edge {
namespace {

constexpr int kGzipLevel = 6, kZstdLevel = 3, kBrotliQuality = 5;
constexpr int kWindowBits = 20;  // brotli, zstd: 1 MiB, which every client's decoder takes
constexpr size_t kStepBytes = 32u << 10;

std::unexpected<Error> failed(std::string_view coder) {
  return fail(Code::internal, std::string(coder) + " failed to compress");
}

class GzipEncoder final : public Encoder {
 public:
  GzipEncoder() {
    CHECK(deflateInit2(&stream_, kGzipLevel, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  }
  ~GzipEncoder() override { deflateEnd(&stream_); }
  Result<void> encode(ByteView in, bool end, std::string& out) override {
    std::array<uint8_t, kStepBytes> step;
    stream_.next_in = const_cast<uint8_t*>(in.data());  // zlib does not write to it
    stream_.avail_in = static_cast<uInt>(in.size());
    for (;;) {
      stream_.next_out = step.data();
      stream_.avail_out = static_cast<uInt>(step.size());
      int status = deflate(&stream_, end ? Z_FINISH : Z_NO_FLUSH);
      if (status == Z_STREAM_ERROR) return failed("zlib");
      size_t made = step.size() - stream_.avail_out;
      out.append(reinterpret_cast<const char*>(step.data()), made);
      if (status == Z_STREAM_END || (!end && stream_.avail_out > 0)) return {};
    }
  }

 private:
  z_stream stream_{};
};

class BrotliEncoder final : public Encoder {
 public:
  BrotliEncoder() : state_(BrotliEncoderCreateInstance(nullptr, nullptr, nullptr)) {
    CHECK(state_ != nullptr);
    BrotliEncoderSetParameter(state_, BROTLI_PARAM_QUALITY, kBrotliQuality);
    BrotliEncoderSetParameter(state_, BROTLI_PARAM_LGWIN, kWindowBits);
  }
  ~BrotliEncoder() override { BrotliEncoderDestroyInstance(state_); }
  Result<void> encode(ByteView in, bool end, std::string& out) override {
    const uint8_t* next = in.data();
    size_t left = in.size();
    for (;;) {
      size_t none = 0;
      if (BrotliEncoderCompressStream(state_, end ? BROTLI_OPERATION_FINISH : BROTLI_OPERATION_PROCESS, &left,
                                      &next, &none, nullptr, nullptr) == BROTLI_FALSE)
        return failed("brotli");
      size_t made = 0;
      const uint8_t* bytes = BrotliEncoderTakeOutput(state_, &made);
      out.append(reinterpret_cast<const char*>(bytes), made);
      if (BrotliEncoderHasMoreOutput(state_) != BROTLI_FALSE) continue;
      if (end ? BrotliEncoderIsFinished(state_) != BROTLI_FALSE : left == 0) return {};
    }
  }

 private:
  BrotliEncoderState* state_;
};

class ZstdEncoder final : public Encoder {
 public:
  ZstdEncoder() : context_(ZSTD_createCCtx()) {
    CHECK(context_ != nullptr);
    ZSTD_CCtx_setParameter(context_, ZSTD_c_compressionLevel, kZstdLevel);
    ZSTD_CCtx_setParameter(context_, ZSTD_c_windowLog, kWindowBits);
    ZSTD_CCtx_setParameter(context_, ZSTD_c_checksumFlag, 1);
  }
  ~ZstdEncoder() override { ZSTD_freeCCtx(context_); }
  Result<void> encode(ByteView in, bool end, std::string& out) override {
    std::array<uint8_t, kStepBytes> step;
    ZSTD_inBuffer from{in.data(), in.size(), 0};
    for (;;) {
      ZSTD_outBuffer to{step.data(), step.size(), 0};
      size_t left = ZSTD_compressStream2(context_, &to, &from, end ? ZSTD_e_end : ZSTD_e_continue);
      if (ZSTD_isError(left) != 0) return failed("zstd");
      out.append(reinterpret_cast<const char*>(step.data()), to.pos);
      if (end ? left == 0 : from.pos == from.size) return {};
    }
  }

 private:
  ZSTD_CCtx* context_;
};

}  // namespace

std::unique_ptr<Encoder> make_encoder(std::string_view coding) {
  if (coding == "br") return std::make_unique<BrotliEncoder>();
  if (coding == "zstd") return std::make_unique<ZstdEncoder>();
  CHECK(coding == "gzip");
  return std::make_unique<GzipEncoder>();
}

}  // namespace archipel::edge
