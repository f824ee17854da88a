// The site door: buckets as websites, for browsers (S3 website hosting: index and error documents, redirects, routing rules).
//
// Every object is asked for at the S3 door as nobody: policies, ACLs, public access blocks, conditions, ranges and CORS are judged there and
// nowhere else. What this door adds is which object a path means, and pages for people where that door has errors for programs.
//
// Source: S3 user guide, "Hosting a static website" (index document, custom error document, redirects, endpoint differences).
#pragma once

#include <string>

#include "door/s3/door.h"
#include "door/s3/settings.h"
#include "http/server.h"
#include "store/store.h"

namespace archipel::door::site {

struct Options {
  // "NAME.<domain>" is the site of bucket NAME. Any other host is the site of the bucket that is called like it, so that a name of one's own needs
  // a DNS record and a bucket.
  std::string domain = "website.localhost";
};

// Thread-safe: one Site serves all loops. Everything passed in must outlive it.
class Site {
 public:
  Site(Options options, store::Store& store, s3::Door& door);
  // Answers GET, HEAD and, for CORS, OPTIONS; everything else is 405.
  io::Task<void> handle(http::Exchange& exchange);
  // For what the HTTP server answers itself (http::MakePage).
  static http::Page page(int status, std::string_view why);

 private:
  struct Visit;
  io::Task<Result<void>> serve(Visit& visit);
  io::Task<Result<void>> serve_key(Visit& visit);
  io::Task<Result<void>> refuse(Visit& visit);

  const Options options_;
  store::Store& store_;
  s3::Door& door_;
  s3::SettingsCache settings_;
};

}  // namespace archipel::door::site
