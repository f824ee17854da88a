// Inner: a visitor's request as the S3 door sees it. What succeeds goes straight on to the visitor; what fails is kept for whoever decides what he
// gets instead. Private to door/site.
#pragma once

#include <optional>
#include <string>

#include "http/server.h"

namespace archipel::door::site {

class Inner final : public http::Exchange {
 public:
  enum class Purpose : uint8_t {
    document,  // the visitor's own conditions and range count
    error,     // a custom error document: whole, with the status given
    probe,     // is it there? Nothing goes on to the visitor
  };
  // `outer` must outlive it. `status`: of Purpose::error.
  Inner(http::Exchange& outer, Purpose purpose, const std::string& bucket, const std::string& key,
        int status = 0);

  // After the door has handled it:
  bool passed() const { return passed_; }        // the visitor has his answer
  bool found() const { return status_ == 200; }  // of a probe
  int status() const { return status_; }
  const std::string& code() const { return code_; }       // S3's, of what failed
  const std::string& location() const { return moved_; }  // x-amz-website-redirect-location; empty: none
  const std::string& range() const { return range_; }     // content-range of a 416

  const http::Request& request() const override { return request_; }
  std::optional<uint64_t> body_length() const override { return 0; }
  io::Task<Result<size_t>> read_body(MutableBytes out) override;
  io::Task<Result<void>> respond(http::Response response, std::string body) override;
  io::Task<Result<void>> start(http::Response response, std::optional<uint64_t> length) override;
  io::Task<Result<void>> write(ByteView bytes) override;
  io::Task<Result<void>> finish() override;
  bool responded() const override { return responded_; }

 private:
  bool take(http::Response& response, std::string_view body);

  http::Exchange& outer_;
  const Purpose purpose_;
  const int as_status_;
  http::Request request_;
  bool responded_ = false, passed_ = false;
  int status_ = 0;
  std::string code_, moved_, range_;
};

}  // namespace archipel::door::site
