// A store::Store in a few maps: what the door's tests stand on. It keeps the contract of store.h for one thread, and nothing more.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "crypto/hash.h"
#include "store/placements.h"
#include "store/store.h"

namespace archipel::door::s3::testing {

class FakeStore final : public store::Store {
 public:
  struct Object {
    store::ObjectInfo info;
    std::string bytes;
  };
  struct Bucket {
    store::BucketInfo info;
    std::map<std::string, Object> objects;
  };
  std::map<std::string, std::shared_ptr<const store::Account>> accounts;
  std::map<std::string, Bucket> buckets;
  UnixMs now_ms = 1'700'000'000'000;
  size_t read_piece_bytes = 1u << 20;
  std::optional<Error> fail_next;    // the next call that can fail does
  std::function<void()> before_get;  // once, before the next get() or head(): what others do meanwhile
  int corrupt_after_pieces = -1;     // an ObjectReader fails after so many pieces

  std::shared_ptr<const store::Account> find_account(const std::string& access_key) const override {
    auto it = accounts.find(access_key);
    return it == accounts.end() ? nullptr : it->second;
  }
  io::Task<Result<void>> put_account(store::Account account) override {
    std::string name = account.access_key;
    accounts[name] = std::make_shared<const store::Account>(std::move(account));
    co_return Result<void>{};
  }
  io::Task<Result<std::vector<store::Account>>> list_accounts() override {
    std::vector<store::Account> out;
    out.reserve(accounts.size());
    for (const auto& [name, account] : accounts) out.push_back(*account);
    co_return out;
  }

  using Store::create_bucket;
  using Store::get;
  using Store::head;
  using Store::remove;

  io::Task<Result<void>> create_bucket(store::CreateBucket request) override {
    const std::string &name = request.name, &owner = request.owner;
    if (name.size() < 3) co_return error(Code::invalid, "InvalidBucketName");
    auto it = buckets.find(name);
    if (it != buckets.end())
      co_return error(Code::exists,
                      it->second.info.owner == owner ? "BucketAlreadyOwnedByYou" : "BucketAlreadyExists");
    const store::BucketPlacement asked{request.policy, request.data_class};
    if (!asked.policy.empty() && asked.policy != "eu-only")
      co_return fail(Code::denied, "there is no placement policy \"" + asked.policy + "\"; there is eu-only",
                     "PlacementRefused");
    if (asked != store::BucketPlacement())
      request.configs[std::string(store::kPlacementDocument)] = encode(asked);
    store::BucketInfo& info = buckets[name].info;
    info.name = name;
    info.owner = owner;
    info.created_ms = now_ms;
    if (!request.configs.empty())
      info.configs = std::make_shared<const store::BucketConfigs>(std::move(request.configs));
    co_return Result<void>{};
  }
  io::Task<Result<store::BucketInfo>> configure_bucket(std::string name,
                                                       store::BucketChange change) override {
    auto it = buckets.find(name);
    if (it == buckets.end()) co_return error(Code::not_found, "NoSuchBucket");
    store::BucketInfo& info = it->second.info;
    store::BucketConfigs configs = info.configs ? *info.configs : store::BucketConfigs{};
    for (auto& [config, bytes] : change.configs) {
      if (bytes) {
        configs[config] = std::move(*bytes);
      } else {
        configs.erase(config);
      }
    }
    info.configs = std::make_shared<const store::BucketConfigs>(std::move(configs));
    co_return info;
  }
  io::Task<Result<store::ObjectInfo>> change_attributes(store::AttributeChange change) override {
    auto& objects = buckets.at(change.bucket).objects;
    auto it = objects.find(change.key);
    if (it == objects.end()) co_return error(Code::not_found, "NoSuchKey");
    if (change.acl) it->second.info.attributes.acl = std::move(*change.acl);
    if (change.tags) it->second.info.attributes.tags = std::move(*change.tags);
    co_return it->second.info;
  }
  io::Task<Result<store::BucketInfo>> head_bucket(std::string name) override {
    auto it = buckets.find(name);
    if (it == buckets.end()) co_return error(Code::not_found, "NoSuchBucket");
    co_return it->second.info;
  }
  io::Task<Result<void>> delete_bucket(std::string name) override {
    auto it = buckets.find(name);
    if (it == buckets.end()) co_return error(Code::not_found, "NoSuchBucket");
    if (!it->second.objects.empty()) co_return error(Code::exists, "BucketNotEmpty");
    buckets.erase(it);
    co_return Result<void>{};
  }
  io::Task<Result<std::vector<store::BucketInfo>>> list_buckets(std::string owner) override {
    std::vector<store::BucketInfo> out;
    for (const auto& [name, bucket] : buckets)
      if (bucket.info.owner == owner) out.push_back(bucket.info);
    co_return out;
  }

  io::Task<Result<store::ObjectInfo>> put(store::PutRequest request, store::BodySource& body) override {
    Object object;
    Buffer piece(100'000);
    while (true) {
      auto n = co_await body.read(piece.span());
      if (!n) co_return std::unexpected(std::move(n).error());
      if (*n == 0) break;
      object.bytes.append(as_text(piece.view().first(*n)));
    }
    if (fail_next) co_return std::unexpected(*std::exchange(fail_next, std::nullopt));
    auto& objects = buckets.at(request.bucket).objects;
    auto current = objects.find(request.key);
    bool exists = current != objects.end();
    if (!request.conditions.if_none_match.empty() && exists)
      co_return error(Code::precondition, "PreconditionFailed");
    if (!request.conditions.if_match.empty() && !exists) co_return error(Code::not_found, "NoSuchKey");
    if (exists && !matches(request.conditions.if_match, current->second.info))
      co_return error(Code::precondition, "PreconditionFailed");
    crypto::Md5 md5;
    md5.update(as_bytes(object.bytes));
    object.info.size = object.bytes.size();
    object.info.etag = hex(md5.finish());
    object.info.modified_ms = now_ms;
    object.info.headers = request.headers;
    object.info.metadata = request.metadata;
    object.info.checksum = body.checksum();
    object.info.attributes = std::move(request.attributes);
    store::ObjectInfo info = object.info;
    objects[request.key] = std::move(object);
    co_return info;
  }
  io::Task<Result<Opened>> get(GetRequest request) override {
    const std::string &bucket = request.what.bucket, &key = request.what.key;
    const std::optional<Range>& range = request.range;
    const store::Conditions& conditions = request.what.conditions;
    if (fail_next) co_return std::unexpected(*std::exchange(fail_next, std::nullopt));
    if (before_get) std::exchange(before_get, nullptr)();
    auto object = find(bucket, key, conditions);
    if (!object) co_return std::unexpected(object.error());
    uint64_t size = (*object)->bytes.size(), first = 0, length = size;
    if (range && range->first) {
      if (*range->first >= size) co_return error(Code::invalid, "InvalidRange");
      first = *range->first;
      length = (range->last ? std::min(*range->last, size - 1) : size - 1) - first + 1;
    } else if (range) {
      length = std::min(*range->last, size);
      if (length == 0) co_return error(Code::invalid, "InvalidRange");
      first = size - length;
    }
    Opened out;
    out.first = first;
    out.length = length;
    out.reader = std::make_unique<Reader>((*object)->info, (*object)->bytes.substr(first, length),
                                          read_piece_bytes, corrupt_after_pieces);
    co_return out;
  }
  io::Task<Result<store::ObjectInfo>> head(store::HeadRequest request) override {
    const bool judging = request.see_markers;  // what access does first
    if (!judging && before_get) std::exchange(before_get, nullptr)();
    auto object = find(request.bucket, request.key, request.conditions);
    if (!object) co_return std::unexpected(object.error());
    co_return (*object)->info;
  }
  io::Task<Result<std::vector<store::DeleteOutcome>>> remove(store::RemoveRequest request) override {
    std::vector<store::DeleteOutcome> out;
    for (store::DeleteItem& item : request.items) {
      std::string& key = item.key;
      auto& objects = buckets.at(request.bucket).objects;
      auto current = objects.find(key);
      Result<void> result;
      if (current != objects.end() && !matches(item.conditions.if_match, current->second.info)) {
        result = error(Code::precondition, "PreconditionFailed");
      } else {
        objects.erase(key);
      }
      if (key == "undeletable") result = error(Code::denied, "AccessDenied");
      out.push_back({std::move(key), std::move(result)});
    }
    co_return out;
  }
  io::Task<Result<store::ObjectInfo>> copy(store::CopyRequest request) override {
    auto source = find(request.source_bucket, request.source_key, request.source_conditions);
    if (!source) co_return std::unexpected(source.error());
    Object object = **source;
    object.info.modified_ms = now_ms;
    if (request.replace_metadata) {
      object.info.headers = request.headers;
      object.info.metadata = request.metadata;
    }
    store::ObjectInfo info = object.info;
    buckets.at(request.bucket).objects[request.key] = std::move(object);
    co_return info;
  }
  io::Task<Result<store::ListResult>> list(store::ListRequest request) override {
    store::ListResult out;
    for (const auto& [key, object] : buckets.at(request.bucket).objects) {
      if (!key.starts_with(request.prefix)) continue;
      size_t at =
          request.delimiter.empty() ? std::string::npos : key.find(request.delimiter, request.prefix.size());
      bool grouped = at != std::string::npos;
      std::string name = grouped ? key.substr(0, at + request.delimiter.size()) : key;
      if (!request.start_after.empty() && name <= request.start_after) continue;
      if (grouped && !out.common_prefixes.empty() && out.common_prefixes.back() == name) continue;
      if (out.entries.size() + out.common_prefixes.size() == request.max_keys) {
        out.truncated = true;
        break;
      }
      if (grouped)
        out.common_prefixes.push_back(name);
      else
        out.entries.push_back({key, object.info});
      out.next = name;
    }
    co_return out;
  }

 private:
  class Reader final : public store::ObjectReader {
   public:
    Reader(store::ObjectInfo info, std::string bytes, size_t piece, int corrupt_after)
        : info_(std::move(info)), bytes_(std::move(bytes)), piece_(piece), corrupt_after_(corrupt_after) {}
    const store::ObjectInfo& info() const override { return info_; }
    io::Task<Result<Buffer>> read() override {
      if (corrupt_after_ == 0) co_return fail(Code::corrupt, "a segment fails its tag");
      if (corrupt_after_ > 0) --corrupt_after_;
      size_t n = std::min(piece_, bytes_.size() - at_);
      Buffer out = Buffer::copy_of(as_bytes(bytes_).subspan(at_, n));
      at_ += n;
      co_return out;
    }

   private:
    store::ObjectInfo info_;
    std::string bytes_;
    size_t piece_, at_ = 0;
    int corrupt_after_;
  };

  static std::unexpected<Error> error(Code code, std::string_view s3) {
    return std::unexpected<Error>(Error{code, "", std::string(s3)});
  }
  static bool matches(const std::vector<std::string>& tags, const store::ObjectInfo& info) {
    if (tags.empty()) return true;
    for (const std::string& t : tags)
      if (t == "*" || t == info.etag) return true;
    return false;
  }
  Result<const Object*> find(const std::string& bucket, const std::string& key, const store::Conditions& c) {
    auto b = buckets.find(bucket);
    if (b == buckets.end()) return error(Code::not_found, "NoSuchBucket");
    auto it = b->second.objects.find(key);
    if (it == b->second.objects.end()) return error(Code::not_found, "NoSuchKey");
    const store::ObjectInfo& info = it->second.info;
    UnixMs second = info.modified_ms / 1000 * 1000;
    if (!matches(c.if_match, info)) return error(Code::precondition, "PreconditionFailed");
    if (c.if_match.empty() && c.if_unmodified_since_ms && second > *c.if_unmodified_since_ms)
      return error(Code::precondition, "PreconditionFailed");
    if (!c.if_none_match.empty()) {
      if (matches(c.if_none_match, info)) return error(Code::precondition, "NotModified");
    } else if (c.if_modified_since_ms && second <= *c.if_modified_since_ms) {
      return error(Code::precondition, "NotModified");
    }
    return &it->second;
  }
};

}  // namespace archipel::door::s3::testing
