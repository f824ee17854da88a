// The store: one method, one room. Every error that leaves carries an S3 code.
#include "store/store.h"

#include <algorithm>

#include "store/env.h"
#include "store/inventory.h"
#include "store/object_source.h"
#include "store/reseal.h"
#include "store/sessions.h"
#include "store/uploads.h"

namespace archipel::store {
namespace {

template <class T>
Result<T> with_code(Result<T> result) {
  if (!result) result.error() = with_s3_code(std::move(result.error()));
  return result;
}

// What an operation came to, with an S3 code.
template <class T>
io::Task<Result<T>> coded(io::Task<Result<T>> operation) {
  Result<T> result = co_await std::move(operation);
  co_return with_code(std::move(result));
}

class StoreImpl final : public Store {
 public:
  StoreImpl(StoreOptions options, const crypto::Keyring& keys, index::Kv& kv, index::Committer& committer,
            extent::Fanout& fanout, extent::ExtentReader& reader,
            std::shared_ptr<const Placements> placements, io::Workers& workers, Random& random, Clock& clock)
      : env_{options,
             keys,
             kv,
             committer,
             fanout,
             reader,
             CurrentPlacements(std::move(placements)),
             workers,
             random,
             clock,
             Budget(options.memory_budget_bytes),
             Directory(kv, keys),
             options.pins ? options.pins : std::make_shared<Pins>(),
             {}} {}

  io::Task<Result<void>> refresh() override {
    auto read = [this] { return env_.directory.load(); };
    Result<void> loaded = co_await env_.workers.run(read);
    co_return with_code(std::move(loaded));
  }

  io::Task<void> drain() override { co_await env_.background.drain(); }

  std::shared_ptr<const Placements> placements() const override { return env_.placements.get(); }
  void use_placements(std::shared_ptr<const Placements> next) override {
    env_.placements.set(std::move(next));
  }

  std::shared_ptr<const Account> find_account(const std::string& access_key) const override {
    return env_.directory.account(access_key);
  }
  std::shared_ptr<const Account> find_owner(const std::string& id) const override {
    return env_.directory.owner(id);
  }
  std::shared_ptr<const Account> find_owner_by_email(const std::string& email) const override {
    return env_.directory.owner_by_email(email);
  }
  std::shared_ptr<const Role> find_role(const std::string& account, const std::string& name) const override {
    return env_.directory.role(account, name);
  }
  Result<std::shared_ptr<const Account>> open_session(std::string_view token,
                                                      std::string_view access_key) const override {
    return store::open_session(token, access_key, env_.keys, env_.directory, env_.clock.unix_ms());
  }
  Result<SessionGrant> make_session(const SessionRequest& request) override {
    return seal_session(request, env_.keys, env_.random);
  }
  io::Task<Result<void>> remove_account(std::string id) override {
    return coded(store::remove_account(env_, std::move(id)));
  }
  io::Task<Result<void>> remove_key(std::string access_key) override {
    return coded(store::remove_key(env_, std::move(access_key)));
  }
  io::Task<Result<void>> put_user(User user) override {
    return coded(store::put_user(env_, std::move(user)));
  }
  io::Task<Result<void>> put_role(Role role) override {
    return coded(store::put_role(env_, std::move(role)));
  }
  io::Task<Result<void>> remove_user(std::string account, std::string name) override {
    return coded(store::remove_user(env_, std::move(account), std::move(name)));
  }
  io::Task<Result<void>> remove_role(std::string account, std::string name) override {
    return coded(store::remove_role(env_, std::move(account), std::move(name)));
  }
  std::vector<User> list_users(const std::string& account) const override {
    return env_.directory.users(account);
  }
  std::vector<Role> list_roles(const std::string& account) const override {
    return env_.directory.roles(account);
  }
  std::vector<Account> list_keys(const std::string& account, const std::string& user) const override {
    return env_.directory.keys(account, user);
  }
  io::Task<Result<void>> put_account(Account account) override {
    return coded(store::put_account(env_, std::move(account)));
  }
  io::Task<Result<std::vector<Account>>> list_accounts() override { co_return env_.directory.accounts(); }

  using Store::create_bucket;
  using Store::get;
  using Store::head;
  using Store::remove;

  io::Task<Result<void>> create_bucket(CreateBucket request) override {
    return coded(store::create_bucket(env_, std::move(request)));
  }
  io::Task<Result<BucketInfo>> configure_bucket(std::string name, BucketChange change) override {
    return coded(store::configure_bucket(env_, std::move(name), std::move(change)));
  }
  io::Task<Result<BucketInfo>> place_bucket(std::string name, BucketPlacement placement) override {
    return coded(store::place_bucket(env_, std::move(name), std::move(placement)));
  }
  io::Task<Result<StoreInventory>> inventory() override { return coded(store::inventory(env_)); }
  io::Task<Result<Usage>> bucket_usage(std::string name) override {
    return coded(store::bucket_usage(env_, std::move(name)));
  }
  io::Task<Result<std::pair<Usage, Quota>>> account_usage(std::string owner) override {
    return coded(store::account_usage(env_, std::move(owner)));
  }
  io::Task<Result<void>> set_account_quota(std::string owner, Quota quota) override {
    return coded(store::set_account_quota(env_, std::move(owner), quota));
  }
  io::Task<Result<BucketInfo>> head_bucket(std::string name) override {
    CO_ASSIGN_OR_RETURN(std::shared_ptr<const Bucket> bucket, find_bucket(env_, name));
    co_return bucket->info;
  }
  io::Task<Result<void>> delete_bucket(std::string name) override {
    return coded(store::delete_bucket(env_, std::move(name)));
  }
  io::Task<Result<std::vector<BucketInfo>>> list_buckets(std::string owner) override {
    return coded(store::list_buckets(env_, std::move(owner)));
  }

  io::Task<Result<ObjectInfo>> put(PutRequest request, BodySource& body) override {
    std::string bucket = request.bucket;
    return told(this, put_object(env_, std::move(request), body), std::move(bucket));
  }
  io::Task<Result<Opened>> get(GetRequest request) override {
    return coded(get_object(env_, std::move(request)));
  }
  io::Task<Result<ObjectInfo>> head(HeadRequest request) override {
    return coded(head_object(env_, std::move(request)));
  }
  io::Task<Result<std::vector<DeleteOutcome>>> remove(RemoveRequest request) override {
    const std::string bucket = request.bucket;
    // What is absent needs no commit, so nobody else would say that the view may lack the newest: a read-only journal shows only what
    // was proven, and a key that it does not show may be there.
    if (!env_.committer.open()) co_return fail(closed_error());
    Result<std::vector<DeleteOutcome>> result = co_await remove_objects(env_, std::move(request));
    bool any_gone = gone(result);
    if (result)
      any_gone = std::ranges::any_of(*result, [](const DeleteOutcome& o) { return gone(o.result); });
    if (any_gone) co_await forget_bucket(bucket);
    co_return with_code(std::move(result));
  }
  io::Task<Result<ObjectInfo>> copy(CopyRequest request) override {
    std::string bucket = request.bucket, source = request.source_bucket;
    return told(this, copy_object(env_, std::move(request)), std::move(bucket), std::move(source));
  }
  io::Task<Result<ListResult>> list(ListRequest request) override {
    return coded(list_objects(env_, std::move(request)));
  }
  io::Task<Result<ListVersionsResult>> list_versions(ListVersionsRequest request) override {
    return coded(store::list_versions(env_, std::move(request)));
  }
  io::Task<Result<ObjectInfo>> change_attributes(AttributeChange change) override {
    std::string bucket = change.bucket;
    return told(this, store::change_attributes(env_, std::move(change)), std::move(bucket));
  }

  io::Task<Result<UploadInfo>> create_upload(CreateUpload request) override {
    std::string bucket = request.bucket;
    return told(this, store::create_upload(env_, std::move(request)), std::move(bucket));
  }
  io::Task<Result<UploadInfo>> find_upload(std::string bucket, std::string key, std::string upload) override {
    return coded(store::find_upload(env_, std::move(bucket), std::move(key), std::move(upload)));
  }
  io::Task<Result<PartInfo>> put_part(PartRequest request, BodySource& body) override {
    std::string bucket = request.bucket;
    return told(this, store::put_part(env_, std::move(request), body), std::move(bucket));
  }
  io::Task<Result<ObjectInfo>> complete_upload(CompleteUpload request) override {
    std::string bucket = request.bucket;
    return told(this, store::complete_upload(env_, std::move(request)), std::move(bucket));
  }
  io::Task<Result<void>> abort_upload(std::string bucket, std::string key, std::string upload) override {
    return coded(store::abort_upload(env_, std::move(bucket), std::move(key), std::move(upload)));
  }
  io::Task<Result<PartInfo>> copy_part(CopyPartRequest request) override {
    std::string bucket = request.part.bucket;
    return told(this, store::copy_part(env_, std::move(request)), std::move(bucket));
  }
  io::Task<Result<ObjectParts>> object_parts(HeadRequest request, uint32_t after, size_t max_parts) override {
    return coded(store::object_parts(env_, std::move(request), after, max_parts));
  }
  io::Task<Result<ListUploadsResult>> list_uploads(ListUploadsRequest request) override {
    return coded(store::list_uploads(env_, std::move(request)));
  }
  io::Task<Result<ListPartsResult>> list_parts(std::string bucket, std::string key, std::string upload,
                                               uint32_t after, size_t max_parts) override {
    return coded(
        store::list_parts(env_, std::move(bucket), std::move(key), std::move(upload), after, max_parts));
  }

 private:
  // As coded(), of an operation that may find one or two buckets gone which are known here still.
  template <class T>
  static io::Task<Result<T>> told(StoreImpl* self, io::Task<Result<T>> operation, std::string bucket,
                                  std::string other = {}) {
    Result<T> result = co_await std::move(operation);
    if (gone(result)) co_await self->forget_bucket(std::move(bucket));
    if (gone(result)) co_await self->forget_bucket(std::move(other));
    co_return with_code(std::move(result));
  }
  template <class T>
  static bool gone(const Result<T>& result) {
    return !result && result.error().detail == "NoSuchBucket";
  }
  Error closed_error() const {
    return {Code::unavailable,
            "nothing is deleted while the journal is closed: " + env_.committer.closed_because(),
            "ServiceUnavailable"};
  }
  // A commit met the end of a bucket that is known here still. Who hears of that end must not see the bucket again afterwards.
  io::Task<void> forget_bucket(std::string name) {
    if (!env_.directory.bucket(name)) co_return;
    auto refresh = [this, &name] { return env_.directory.refresh_bucket(name); };
    // If the view cannot be read, neither can anything in the bucket.
    [[maybe_unused]] Result<void> refreshed = co_await env_.workers.run(refresh);
  }

  Env env_;
};

}  // namespace

std::unexpected<Error> unoffered() {
  return fail(Code::unsupported, "this store does not offer that", "NotImplemented");
}

io::Task<Result<BucketInfo>> Store::place_bucket(std::string, BucketPlacement) {
  co_return unoffered();
}

io::Task<Result<StoreInventory>> Store::inventory() {
  co_return unoffered();
}

io::Task<Result<std::unique_ptr<Store>>> open_store(StoreOptions options, const crypto::Keyring& keys,
                                                    index::Kv& kv, index::Committer& committer,
                                                    extent::Fanout& fanout, extent::ExtentReader& reader,
                                                    std::shared_ptr<const extent::Placement> placement,
                                                    erasure::Code code, extent::AckRule ack,
                                                    io::Workers& workers, Random& random, Clock& clock) {
  CO_RETURN_IF_ERROR(erasure::check_code(code));
  if (placement->islands.size() != static_cast<size_t>(code.n))
    co_return fail(Code::invalid, "the placement has " + std::to_string(placement->islands.size()) +
                                      " islands and the code needs " + std::to_string(code.n));
  std::shared_ptr<const Placements> placements = options.placements;
  if (placements == nullptr) {
    CO_ASSIGN_OR_RETURN(placements, Placements::make(std::move(placement), code, ack, {}));
  }
  auto store = std::make_unique<StoreImpl>(options, keys, kv, committer, fanout, reader,
                                           std::move(placements), workers, random, clock);
  CO_RETURN_IF_ERROR(co_await store->refresh());
  co_return std::unique_ptr<Store>(std::move(store));
}

}  // namespace archipel::store
