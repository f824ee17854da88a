// <LifecycleConfiguration>: lifecycle rules as clients write them.
#pragma once

#include <string>
#include <string_view>

#include "base/random.h"
#include "base/result.h"
#include "store/lifecycle_rules.h"

namespace archipel::door::s3 {

// Rules without an ID get a random one; without `random` they are refused. A filter may name several conditions side by side, without <And>: all must hold.
// Errors: MalformedXML, InvalidArgument, InvalidRequest, NotImplemented (transitions: there is one storage class).
Result<store::LifecycleRules> parse_lifecycle(std::string_view xml, Random* random);
// What is kept: it parses again into the same rules, those with a filter and those with the older <Prefix> alike.
std::string write_lifecycle(const store::LifecycleRules& rules);

// The value of x-amz-expiration for the current version of an object; empty if no rule is about to expire it. Days are real days.
std::string expiration_header(const store::LifecycleRules& rules, const store::LifecycleSubject& object);

}  // namespace archipel::door::s3
