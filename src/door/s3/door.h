// The S3 door: an http::Handler that speaks the S3 API over a Store.
#pragma once

#include <memory>
#include <string>

#include "base/random.h"
#include "http/server.h"
#include "io/workers.h"
#include "store/store.h"

namespace archipel::door::s3 {

class AccessLog;

struct Options {
  std::string region = "archipel-1";
  std::string virtual_host_base =
      "s3.localhost";  // "bucket.s3.localhost" is bucket "bucket"; path style otherwise
  bool sigv2 = false;  // take Signature Version 2 too, for clients that know nothing newer
  std::shared_ptr<AccessLog> access_log = nullptr;  // null: no bucket can have its requests logged
};

// Authenticates (SigV4 in headers), routes, and answers. Unknown sub-resources and meaningful x-amz-* headers get NotImplemented.
// Thread-safe: one Door serves all loops. Everything passed in must outlive it. With `workers`, slow digests of large bodies are computed
// there; without, on the loop. `random` names requests and keys the tokens that stand for object names in the log.
class Door {
 public:
  Door(Options options, store::Store& store, Clock& clock, io::Workers* workers = nullptr,
       Random& random = system_random());
  ~Door();
  io::Task<void> handle(http::Exchange& exchange);
  // An error document for what the HTTP server answers itself (http::MakePage): clients of S3 expect no other.
  http::Page page(int status, std::string_view why);

  struct State;

 private:
  std::unique_ptr<State> state_;
};

}  // namespace archipel::door::s3
