#include "edge/compress.h"

#include <algorithm>

#include "edge/coding.h"
#include "http/h1_parser.h"

namespace archipel::edge {
namespace {

constexpr size_t kChunkBytes = 64u << 10;
constexpr uint64_t kFallbackBytesMax =
    64u << 10;  // of an answer about a file that is not there, read to keep the connection

struct Kind {
  std::string_view ending, type;
};
constexpr Kind kKinds[] = {{".html", "text/html"},        {".htm", "text/html"},
                           {".css", "text/css"},          {".js", "text/javascript"},
                           {".mjs", "text/javascript"},   {".json", "application/json"},
                           {".map", "application/json"},  {".svg", "image/svg+xml"},
                           {".xml", "application/xml"},   {".txt", "text/plain"},
                           {".csv", "text/csv"},          {".md", "text/markdown"},
                           {".wasm", "application/wasm"}, {".webmanifest", "application/manifest+json"}};

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

bool is_coding(std::string_view text) {
  return text == "br" || text == "zstd" || text == "gzip";
}

bool lists(const http::Headers& headers, std::string_view name, std::string_view word) {
  return std::ranges::any_of(headers, [&](const auto& field) {
    return field.first == name && http::list_contains(field.second, word);
  });
}

void vary_by_coding(http::Headers& headers) {
  if (!lists(headers, "vary", "accept-encoding") && !lists(headers, "vary", "*"))
    headers.add("vary", "accept-encoding");
}

// What holds for the plain bytes does not hold for the compressed ones.
void mark_as(http::Headers& headers, std::string_view coding) {
  for (std::string_view name :
       {"content-length", "accept-ranges", "content-md5", "digest", "content-digest", "repr-digest"})
    headers.remove(name);
  headers.set("content-encoding", std::string(coding));
  std::string etag(headers.get("etag"));
  if (etag.starts_with('"')) headers.set("etag", "W/" + etag);
}

class EditedFetch final : public Fetch {
 public:
  EditedFetch(std::unique_ptr<Fetch> inner, http::Headers headers, std::string_view coding)
      : inner_(std::move(inner)), headers_(std::move(headers)), compressed_(!coding.empty()) {
    if (compressed_) encoder_ = make_encoder(coding);
  }
  int status() const override { return inner_->status(); }
  const http::Headers& headers() const override { return headers_; }
  std::optional<uint64_t> length() const override { return compressed_ ? std::nullopt : inner_->length(); }
  UnixMs requested() const override { return inner_->requested(); }
  UnixMs received() const override { return inner_->received(); }
  std::unique_ptr<io::Stream> take_stream() override { return inner_->take_stream(); }
  std::string_view origin() const override { return inner_->origin(); }
  bool over() const override { return !compressed_ && inner_->over(); }
  std::optional<Duration> keep_max() const override { return inner_->keep_max(); }

  io::Task<Result<size_t>> read(MutableBytes out) override {
    if (!compressed_) {
      auto got = co_await inner_->read(out);
      co_return got;
    }
    while (made_.size() == given_ && encoder_ != nullptr) {
      made_.clear();
      given_ = 0;
      if (plain_.empty()) plain_ = Buffer(kChunkBytes);
      auto got = co_await inner_->read(plain_.span());
      if (!got) co_return got;
      CO_RETURN_IF_ERROR(encoder_->encode(plain_.view().first(*got), *got == 0, made_));
      if (*got == 0) encoder_.reset();
    }
    size_t n = std::min(out.size(), made_.size() - given_);
    std::copy_n(made_.data() + given_, n, out.data());
    given_ += n;
    co_return n;
  }

 private:
  std::unique_ptr<Fetch> inner_;
  const http::Headers headers_;
  const bool compressed_;
  std::unique_ptr<Encoder> encoder_;
  Buffer plain_;
  std::string made_;
  size_t given_ = 0;
};

class Compressing final : public Upstream {
 public:
  Compressing(std::shared_ptr<Upstream> inner, CompressPolicy policy)
      : inner_(std::move(inner)), policy_(std::move(policy)) {}

  io::Task<Result<std::unique_ptr<Fetch>>> fetch(FetchRequest request, Deadline deadline) override {
    const bool reads = (request.method == "GET" || request.method == "HEAD") && request.body == nullptr &&
                       request.upgrade.empty();
    const std::string coding(request.headers.get("accept-encoding"));
    const bool whole = request.headers.find("range") == nullptr;
    const bool wanted = reads && whole && is_coding(coding);
    const std::string conditions(request.headers.get("if-none-match"));
    const bool head = request.method == "HEAD";
    if (wanted && policy_.precompressed) {
      auto found = co_await fetch_precompressed(request, coding, deadline);
      if (found && *found != nullptr) co_return std::move(*found);
    }
    auto fetched = co_await inner_->fetch(std::move(request), deadline);
    if (!fetched || !reads) co_return fetched;
    co_return edit(std::move(*fetched), wanted ? coding : std::string(), conditions, head);
  }

 private:
  bool is_compressible(std::string_view type) const {
    std::string name = lower(type.substr(0, type.find(';')));
    name.erase(name.find_last_not_of(" \t") + 1);
    if (name == "text/event-stream") return false;
    return std::ranges::any_of(policy_.types,
                               [&](const std::string& glob) { return glob_matches(glob, name); });
  }

  std::unique_ptr<Fetch> edit(std::unique_ptr<Fetch> fetch, std::string_view coding,
                              const std::string& conditions, bool head) const {
    http::Headers headers = fetch->headers();
    if (fetch->status() == 304) {
      // What was stored has the weak form of the origin's tag.
      std::string etag(headers.get("etag"));
      if (etag.starts_with('"') && conditions.find("W/" + etag) != std::string::npos)
        headers.set("etag", "W/" + etag);
      if (!headers.get("etag").empty()) vary_by_coding(headers);
      return std::make_unique<EditedFetch>(std::move(fetch), std::move(headers), "");
    }
    if (fetch->status() < 200 || !is_compressible(headers.get("content-type"))) return fetch;
    vary_by_coding(headers);
    std::optional<uint64_t> length = fetch->length();
    if (head) {
      length.reset();
      if (headers.find("content-length") != nullptr && headers.get("content-length").size() < 18)
        length = std::strtoull(headers.find("content-length")->c_str(), nullptr, 10);
    }
    const bool long_enough = !length || *length >= policy_.bytes_min;
    const bool can = fetch->status() == 200 && long_enough && headers.find("content-encoding") == nullptr &&
                     headers.find("content-range") == nullptr &&
                     !lists(headers, "cache-control", "no-transform");
    if (!can || coding.empty())
      return std::make_unique<EditedFetch>(std::move(fetch), std::move(headers), "");
    mark_as(headers, coding);
    return std::make_unique<EditedFetch>(std::move(fetch), std::move(headers),
                                         head ? std::string_view{} : coding);
  }

  // nullptr: there is no such file, or no saying what its type would be.
  io::Task<Result<std::unique_ptr<Fetch>>> fetch_precompressed(const FetchRequest& request,
                                                               std::string_view coding, Deadline deadline) {
    const size_t question = request.target.find('?');
    const std::string path = request.target.substr(0, question);
    auto kind = std::ranges::find_if(kKinds, [&](const Kind& k) { return path.ends_with(k.ending); });
    if (kind == std::end(kKinds) || !is_compressible(kind->type)) co_return std::unique_ptr<Fetch>();
    FetchRequest other;
    other.method = request.method;
    other.target = path + (coding == "br" ? ".br" : coding == "zstd" ? ".zst" : ".gz");
    if (question != std::string::npos) other.target += request.target.substr(question);
    other.headers = request.headers;
    other.headers.remove("accept-encoding");
    other.interim = nullptr;
    other.hash_key = request.hash_key;
    auto fetched = co_await inner_->fetch(std::move(other), deadline);
    if (!fetched) co_return fetched;
    const int status = (*fetched)->status();
    http::Headers headers = (*fetched)->headers();
    if ((status != 200 && status != 304) || headers.find("content-range") != nullptr) {
      co_await read_away(**fetched);
      co_return std::unique_ptr<Fetch>();
    }
    headers.set("content-encoding", std::string(coding));
    headers.set("content-type", std::string(kind->type));
    headers.remove("accept-ranges");
    vary_by_coding(headers);
    co_return std::make_unique<EditedFetch>(std::move(*fetched), std::move(headers), "");
  }

  static io::Task<void> read_away(Fetch& fetch) {
    Buffer scratch(16u << 10);
    for (uint64_t all = 0; all < kFallbackBytesMax;) {
      auto got = co_await fetch.read(scratch.span());
      if (!got || *got == 0) co_return;
      all += *got;
    }
  }

  const std::shared_ptr<Upstream> inner_;
  const CompressPolicy policy_;
};

}  // namespace

std::shared_ptr<Upstream> compressing(std::shared_ptr<Upstream> inner, const CompressPolicy& policy) {
  if (!policy.on) return inner;
  return std::make_shared<Compressing>(std::move(inner), policy);
}

}  // namespace archipel::edge
