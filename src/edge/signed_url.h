// Signed URLs: links that work until a time, for one path or for all below a directory. Pure functions.
//
// The signature is HMAC-SHA256 over the text "archipel-url-1\nHOST\nSCOPE\nEXPIRES" (HOST in lower case, without port; SCOPE: the path, or a directory
// that ends in '/'; EXPIRES: Unix seconds, decimal), in base64url without padding. Two forms:
//   query   /private/a.mp4?expires=1790000000&scope=%2Fprivate%2F&signature=SIG      (scope left out: this path alone)
//   path    /~1790000000~DEPTH~SIG/private/a.m3u8      DEPTH: so many leading segments of what follows are the scope, 0: the whole path. Relative links
//           in a document so fetched are signed, too.
// What belongs to the signature is taken out before the request is looked up and passed on. The path is compared as it came, byte for byte; one
// with a dot segment, however it is encoded, is never inside a directory.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace archipel::edge {

inline constexpr size_t kSignedFieldBytesMax = 4096;

struct SignedTarget {
  std::string target;   // without the signature
  int64_t expires = 0;  // Unix seconds
};

// nullopt: no signature, a wrong one, one that is over, or of another scope; the caller does not learn which. Takes the same time for every wrong
// signature. `target` in origin form.
std::optional<SignedTarget> check_signed(std::string_view host, std::string_view target,
                                         const std::vector<std::string>& keys, UnixMs now);
// The path within its signature, if `target` has the path form; else its path. What the globs of [site.signed] are compared with.
std::string_view signed_path(std::string_view target);

// Target with a signature in the query or the path form. `scope`: empty, or a directory that begins the path and ends in '/'.
enum class SignedForm { query, path };
std::optional<std::string> sign_target(std::string_view host, std::string_view target, std::string_view scope,
                                       int64_t expires, std::string_view key, SignedForm form);

}  // namespace archipel::edge
