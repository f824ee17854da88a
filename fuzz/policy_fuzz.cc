// Policies that clients put, and the questions asked of them. Properties: what parses can be asked anything and gives one of three answers; a
// policy without an Allow allows nothing; adding a Deny of everything denies whatever was allowed; the limits hold.
#include "fuzz_support.h"
#include "iam/policy.h"

using namespace archipel;
using namespace archipel::iam;

namespace {

// Asks about a request made of pieces of the document itself, so that wildcards and variables meet text like their own.
Request request_from(std::string_view in) {
  const size_t half = in.size() / 2;
  Request request{Principal::user(std::string(64, 'a'), "ann"),
                  "s3:GetObject",
                  "arn:aws:s3:::bucket/" + std::string(in.substr(half, 64)),
                  {}};
  request.context.add_principal(request.principal);
  request.context.add("s3:prefix", std::string(in.substr(0, 64)));
  request.context.add("aws:SourceIp", "192.0.2.1");
  request.context.add_time(1'700'000'000'000);
  return request;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view in = as_text({data, size});
  for (PolicyKind kind :
       {PolicyKind::identity, PolicyKind::resource, PolicyKind::session, PolicyKind::trust}) {
    auto policy = parse_policy(in, kind);
    if (!policy) {
      MUST(policy.error().detail == "MalformedPolicy" && !policy.error().message.empty());
      continue;
    }
    MUST(size <= kResourcePolicyBytesMax);
    Request request = request_from(in);
    const Effect effect = evaluate(**policy, request);
    if (!in.contains("Allow") && !in.contains('\\')) MUST(effect != Effect::allow);
    static const auto never =
        *parse_policy(R"({"Statement":{"Effect":"Deny","Action":"*","Resource":"*"}})", PolicyKind::identity);
    const std::shared_ptr<const Policy> both[] = {*policy, never};
    MUST(evaluate_all(both, request) == Effect::deny);
    const bool is_open = is_public(**policy);
    MUST(!is_open || kind == PolicyKind::resource || kind == PolicyKind::trust);
    (void)names_only_bucket(**policy, "bucket");
    Grounds grounds;
    grounds.resource = policy->get();
    grounds.owner = request.principal.account;
    MUST((authorize(request, grounds) == Effect::deny) == (effect == Effect::deny));
  }
  return 0;
}
