// The S3 door: an http::Handler that speaks the S3 API over a Store.
#pragma once

#include <memory>
#include <string>

#include "http/server.h"
#include "store/store.h"

namespace archipel::door::s3 {

struct Options {
  std::string region = "archipel-1";
  std::string virtual_host_base = "s3.localhost";  // "bucket.s3.localhost" is bucket "bucket"; path style otherwise
};

// Authenticates (SigV4 in headers), routes, and answers. Unknown sub-resources and meaningful x-amz-* headers get NotImplemented.
// Thread-safe: one Door serves all loops.
class Door {
 public:
  Door(Options options, store::Store& store, Clock& clock);
  ~Door();
  io::Task<void> handle(http::Exchange& exchange);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace archipel::door::s3
