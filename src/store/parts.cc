// put_part: seal the body as a stream of its own, then one commit that checks the upload again and puts the part in its place.
#include "store/commit_body.h"
#include "store/keys.h"
#include "store/sse.h"
#include "store/summing_body.h"
#include "store/uploads.h"
#include "store/versions.h"
#include "store/wrap.h"

namespace archipel::store {
namespace {

// Everything build() needs; immutable once made, so that build() may run again.
struct PartPlan {
  std::string bucket, owner, upload_place;
  std::optional<std::string> placement;          // the bucket's, when the body was begun
  std::shared_ptr<const PlacementClass> placed;  // and what its policy said then
  UploadId id{};
  uint32_t number = 0;
  PartRecord part;  // of a small body without its locations, which only the record's builder knows
};

Result<void> build_part(const Env& env, const PartPlan& plan, const index::View& view,
                        const std::vector<index::SmallLocation>& locations,
                        std::vector<index::Mutation>& out) {
  ASSIGN_OR_RETURN(VersionEdit edit,
                   VersionEdit::begin(view, plan.bucket, plan.owner, plan.part.modified_ms));
  RETURN_IF_ERROR(check_placed(env, view, plan.bucket, plan.placement, *plan.placed));
  ASSIGN_OR_RETURN(std::optional<std::string> upload, view.get(plan.upload_place));
  if (!upload) return no_such_upload();
  std::string set_place = part_set_key(plan.id), place = part_key(plan.id, plan.number);
  ASSIGN_OR_RETURN(std::optional<std::string> set_bytes, view.get(set_place));
  if (!set_bytes) return no_such_upload();
  ASSIGN_OR_RETURN(PartSetRecord set, decode_part_set(*set_bytes));
  ASSIGN_OR_RETURN(std::optional<std::string> before, view.get(place));

  set.changes += 1;
  set.bytes += plan.part.size;
  edit.usage().add(plan.part.size);
  TallyChange tallies;
  if (before) {
    ASSIGN_OR_RETURN(PartRecord replaced, decode_part(*before));
    if (replaced.slice) {
      edit.references().drop(*replaced.slice);
      edit.usage().tallies().drop(*replaced.slice);
      tallies.drop(*replaced.slice);
    }
    edit.usage().drop(replaced.size);
    set.bytes -= replaced.size;
  } else {
    set.parts += 1;
  }
  PartRecord part = plan.part;
  if (!locations.empty()) part.slice->storage.small = locations;
  if (part.slice) {
    edit.references().create(*part.slice);
    edit.usage().tallies().add(*part.slice);
    tallies.add(*part.slice);
  }
  if (set.tallies) tallies.apply(*set.tallies);
  RETURN_IF_ERROR(edit.finish(out));
  out.push_back({std::move(place), encode(part)});
  out.push_back({std::move(set_place), encode(set)});
  return {};
}

Result<void> check_part(const PartRequest& request) {
  RETURN_IF_ERROR(check_object_key(request.key));
  if (request.number < 1 || request.number > kPartNumberMax)
    return fail(Code::invalid, "part number must be an integer between 1 and 10000, inclusive",
                "InvalidArgument");
  if (request.length && *request.length > kObjectBytesMax)
    return fail(Code::limit, "a part has at most 5 GiB", "EntityTooLarge");
  return {};
}

Result<Checksum> checksum_of(const UploadRecord& upload, const BodySource& body) {
  Checksum checksum = body.checksum();
  if (upload.checksum == Checksum::Kind::none || checksum.kind == upload.checksum) return checksum;
  return fail(Code::invalid, "the part's checksum is of another algorithm than its upload's",
              "InvalidRequest");
}

}  // namespace

io::Task<Result<PartInfo>> put_part(Env& env, PartRequest request, BodySource& body) {
  CO_ASSIGN_OR_RETURN(std::shared_ptr<const Bucket> bucket, find_bucket(env, request.bucket));
  CO_RETURN_IF_ERROR(check_part(request));
  CO_ASSIGN_OR_RETURN(std::shared_ptr<const PlacementClass> placed, bucket_class(env, *bucket));
  auto look = [&] { return read_upload(*env.kv.snapshot(), request.bucket, request.key, request.upload); };
  CO_ASSIGN_OR_RETURN(UploadRecord upload, co_await env.workers.run(look));
  CO_RETURN_IF_ERROR(
      check_customer_key(upload.encryption, upload.encryption_data, request.customer_key.get()));

  SummingBody summing(body, upload.checksum);
  BodySource& source = upload.checksum == Checksum::Kind::none ? body : summing;
  Upload stream(env, source, request.length, placed);
  Result<void> uploaded = co_await stream.run();
  Result<Checksum> checksum = uploaded ? checksum_of(upload, source) : fail(uploaded.error());
  if (!checksum) {
    give_up_body(env, stream);
    co_return fail(checksum.error());
  }

  auto plan = std::make_shared<PartPlan>();
  plan->bucket = request.bucket;
  plan->owner = bucket->info.owner;
  plan->placement = placement_document(*bucket);
  plan->placed = std::move(placed);
  plan->id = *parse_upload_id(request.upload);
  plan->upload_place = upload_key(request.bucket, request.key, plan->id);
  plan->number = request.number;
  PartRecord& part = plan->part;
  part.modified_ms = env.clock.unix_ms();
  part.size = stream.size();
  part.checksum = std::move(*checksum);
  std::optional<std::string> md5 = unhex(stream.etag());
  CHECK(md5 && md5->size() == part.md5.size());
  std::copy(md5->begin(), md5->end(), part.md5.begin());
  if (part.size > 0) {
    part.slice = stream.slice();
    KeyScope scope{bucket->info.owner, request.bucket, plan->id,
                   request.number,     true,           request.customer_key.get()};
    wrap_into(*part.slice, env.keys, bucket->kek_slot, scope, stream.data_key(), env.random);
  }

  PartInfo info = part_info(request.number, part);
  index::Intent intent;
  intent.build = [&env, plan = std::shared_ptr<const PartPlan>(std::move(plan))](
                     const index::View& view, const std::vector<index::SmallLocation>& locations,
                     std::vector<index::Mutation>& out) {
    return build_part(env, *plan, view, locations, out);
  };
  CO_RETURN_IF_ERROR(co_await commit_body(env, stream, std::move(intent), info.modified_ms));
  co_return info;
}

}  // namespace archipel::store
