// What a website's configuration makes of a path. Pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "door/s3/bucket_documents.h"
#include "http/message.h"

namespace archipel::door::site {

// "blog" of "blog.website.localhost:9001"; "www.example.org" of itself. Lower case, without port and final dot.
std::string bucket_of_host(std::string_view host, std::string_view domain);

// The key that a path names, decoded, without its first slash; nullopt: a bad %-escape, or no UTF-8.
std::optional<std::string> key_of_path(std::string_view path);
// The key of its document: a directory's is its index.
std::string document_of(const std::string& key, const std::string& index);

struct Redirect {
  int status = 301;
  std::string location;
};

// Where a visitor stands: for the parts of a location that a rule does not say.
struct Place {
  std::string_view host;  // with its port
  bool secure = false;
};

Redirect redirect_all(const s3::Website::RedirectAll& rule, const Place& place, std::string_view target);
// The first rule that is for this key and, with `status`, for this error; without (0), the first that waits for none.
std::optional<Redirect> route(const s3::Website& website, const Place& place, const std::string& key,
                              int status);
// To the directory that `path` names without its slash.
Redirect to_directory(const http::Request& request);

}  // namespace archipel::door::site
