// What is known of a request for the conditions of policies. Private to door/s3.
#pragma once

#include <string>
#include <string_view>

#include "iam/policy.h"

namespace archipel::door::s3 {

struct Call;

// Everything but the tags of the object that is there. aws:SourceIp is the socket's peer: X-Forwarded-For is what anybody says of himself.
// Headers come in only under the keys that S3 documents for them.
iam::ConditionContext make_context(const Call& call);

// "192.0.2.1" of "192.0.2.1:443", "::1" of "[::1]:443".
std::string_view address_of_peer(std::string_view peer);

}  // namespace archipel::door::s3
