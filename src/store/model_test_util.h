// The reference model: what S3 promises, as plainly as it can be said, over a std::map. It shares no code with the store but the
// request types; the random programs of model_test.cc hold the store to it.
#pragma once

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "crypto/hash.h"
#include "store/store.h"

namespace archipel::store {

class Model {
 public:
  struct Object {
    std::string body;
    ObjectInfo info;  // info.version as the store named it; a delete marker has no body
    bool null = true;
  };
  struct ModelBucket {
    std::string owner;
    std::map<std::string, std::vector<Object>> keys;  // newest first, never empty
    Versioning versioning = Versioning::never;
    bool lock = false;
    Quota quota;
  };

  // Each operation answers "ok" or the S3 code.
  std::string create_bucket(const std::string& name, const std::string& owner, bool lock) {
    auto found = buckets.find(name);
    if (found != buckets.end())
      return found->second.owner == owner ? "BucketAlreadyOwnedByYou" : "BucketAlreadyExists";
    buckets[name].owner = owner;
    buckets[name].lock = lock;
    if (lock) buckets[name].versioning = Versioning::enabled;
    return "ok";
  }

  std::string delete_bucket(const std::string& name) {
    auto found = buckets.find(name);
    if (found == buckets.end()) return "NoSuchBucket";
    if (!found->second.keys.empty()) return "BucketNotEmpty";
    buckets.erase(found);
    return "ok";
  }

  std::string configure(const std::string& name, const BucketChange& change) {
    auto found = buckets.find(name);
    if (found == buckets.end()) return "NoSuchBucket";
    ModelBucket& bucket = found->second;
    if (change.versioning == Versioning::suspended && bucket.lock) return "InvalidBucketState";
    if (change.enable_object_lock && change.versioning.value_or(bucket.versioning) != Versioning::enabled)
      return "InvalidBucketState";
    if (change.versioning) bucket.versioning = *change.versioning;
    if (change.quota) bucket.quota = *change.quota;
    bucket.lock = bucket.lock || change.enable_object_lock;
    return "ok";
  }

  // `id`: what the store called it, once it succeeded.
  std::string put(const PutRequest& request, const std::string& body, UnixMs now, const std::string& id) {
    auto found = buckets.find(request.bucket);
    if (found == buckets.end()) return "NoSuchBucket";
    Object object;
    object.body = body;
    object.info.size = body.size();
    crypto::Md5 md5;
    md5.update(as_bytes(body));
    object.info.etag = hex(md5.finish());
    object.info.modified_ms = now;
    object.info.headers = request.headers;
    object.info.metadata = request.metadata;
    object.info.attributes = request.attributes;
    return write(found->second, request.key, request.conditions, std::move(object), id);
  }

  std::string copy(const CopyRequest& request, UnixMs now, const std::string& id) {
    if (!buckets.contains(request.bucket) || !buckets.contains(request.source_bucket)) return "NoSuchBucket";
    bool itself = request.bucket == request.source_bucket && request.key == request.source_key;
    if (itself && !request.replace_metadata && !request.source_version) return "InvalidRequest";
    const Object* source = find(request.source_bucket, request.source_key, request.source_version);
    if (source && source->info.delete_marker && request.source_version) return "InvalidRequest";
    if (!source || source->info.delete_marker) return request.source_version ? "NoSuchVersion" : "NoSuchKey";
    std::string refused = refuse_read(request.source_conditions, *source);
    if (refused != "ok") return "PreconditionFailed";
    Object made = *source;
    made.info.modified_ms = now;
    made.info.attributes = request.attributes;
    made.info.attributes.tags = source->info.attributes.tags;
    if (request.replace_metadata) {
      made.info.headers = request.headers;
      made.info.metadata = request.metadata;
    }
    return write(buckets[request.bucket], request.key, request.conditions, std::move(made), id);
  }

  // One item; `marker`: the id of the marker that the store placed.
  std::string remove(const std::string& in_bucket, const DeleteItem& item, bool bypass, UnixMs now,
                     const std::string& marker) {
    ModelBucket& bucket = buckets.at(in_bucket);
    const Object* judged = find(in_bucket, item.key, item.version);
    if (judged && refuse_read(item.conditions, *judged) != "ok") return "PreconditionFailed";
    if (item.version || bucket.versioning == Versioning::never) {
      if (!judged) return "ok";
      if (locked(*judged, now, bypass)) return "AccessDenied";
      erase(bucket, item.key, judged);
      return "ok";
    }
    Object object;
    object.info.delete_marker = true;
    object.info.modified_ms = now;
    return place(bucket, item.key, std::move(object), now, marker);
  }

  std::string change(const AttributeChange& change, UnixMs now) {
    if (!buckets.contains(change.bucket)) return "NoSuchBucket";
    Object* object = const_cast<Object*>(find(change.bucket, change.key, change.version));
    if (object && object->info.delete_marker && change.version) return "MethodNotAllowed";
    if (!object || object->info.delete_marker) return change.version ? "NoSuchVersion" : "NoSuchKey";
    Attributes& a = object->info.attributes;
    if ((change.retention || change.legal_hold) && !buckets.at(change.bucket).lock) return "InvalidRequest";
    if (change.retention) {
      const Retention &is = a.retention, &to = *change.retention;
      bool runs = is.mode != Retention::Mode::none && is.until_ms > now;
      bool free = !runs || (is.mode == Retention::Mode::governance && change.bypass_governance);
      if (!free && (to.mode != is.mode || to.until_ms < is.until_ms)) return "AccessDenied";
      a.retention = to;
    }
    if (change.legal_hold) a.legal_hold = *change.legal_hold;
    if (change.tags) a.tags = *change.tags;
    if (change.acl) a.acl = *change.acl;
    return "ok";
  }

  std::string get(const std::string& bucket, const std::string& key, const VersionName& version,
                  const std::optional<Store::Range>& range, const Conditions& conditions,
                  std::string* body) const {
    if (!buckets.contains(bucket)) return "NoSuchBucket";
    const Object* object = find(bucket, key, version);
    if (!object) return version ? "NoSuchVersion" : "NoSuchKey";
    if (object->info.delete_marker) return version ? "MethodNotAllowed" : "NoSuchKey";
    std::string refused = refuse_read(conditions, *object);
    if (refused != "ok") return refused;
    *body = object->body;
    if (!range) return "ok";
    size_t size = object->body.size();
    if (!range->first) {
      size_t suffix = std::min<size_t>(*range->last, size);
      *body = object->body.substr(size - suffix);
    } else if (*range->first >= size) {
      body->clear();
    } else {
      size_t last = std::min<size_t>(range->last.value_or(size), size - 1);
      *body = object->body.substr(*range->first, last - *range->first + 1);
    }
    return body->empty() ? "InvalidRange" : "ok";
  }

  // Everything rolled up first, then cut into a page: slow and obvious.
  ListResult list(const ListRequest& request) const {
    struct Item {
      std::string name;
      const Object* object;  // nullptr: a common prefix
    };
    std::vector<Item> items;
    std::set<std::string> prefixes;
    for (const auto& [key, versions] : buckets.at(request.bucket).keys) {
      if (!key.starts_with(request.prefix) || versions.front().info.delete_marker) continue;
      size_t at =
          request.delimiter.empty() ? std::string::npos : key.find(request.delimiter, request.prefix.size());
      if (at == std::string::npos) {
        if (key > request.start_after) items.push_back({key, &versions.front()});
        continue;
      }
      std::string prefix = key.substr(0, at + request.delimiter.size());
      bool shown_before = prefix == request.start_after || key <= request.start_after;
      if (!shown_before && prefixes.insert(prefix).second) items.push_back({prefix, nullptr});
    }
    ListResult result;
    for (const Item& item : items) {
      if (result.entries.size() + result.common_prefixes.size() == request.max_keys) {
        result.truncated = request.max_keys > 0;
        break;
      }
      if (item.object)
        result.entries.push_back({item.name, item.object->info});
      else
        result.common_prefixes.push_back(item.name);
      result.next = item.name;
    }
    if (!result.truncated) result.next.clear();
    return result;
  }

  // All pages together: "key version [!] size [*]" and common prefixes, in order.
  std::vector<std::string> list_versions(const std::string& bucket, const std::string& prefix,
                                         const std::string& delimiter) const {
    std::vector<std::string> lines;
    for (const auto& [key, versions] : buckets.at(bucket).keys) {
      if (!key.starts_with(prefix)) continue;
      size_t at = delimiter.empty() ? std::string::npos : key.find(delimiter, prefix.size());
      if (at != std::string::npos) {
        std::string rolled = key.substr(0, at + delimiter.size());
        if (lines.empty() || lines.back() != rolled) lines.push_back(rolled);
        continue;
      }
      for (size_t i = 0; i < versions.size(); ++i) {
        ObjectInfo info = versions[i].info;
        info.latest = i == 0;
        lines.push_back(line_of(key, info));
      }
    }
    return lines;
  }
  static std::string line_of(const std::string& key, const ObjectInfo& info) {
    return key + " " + info.version + (info.delete_marker ? " !" : " ") + std::to_string(info.size) +
           (info.latest ? " *" : "");
  }

  Usage usage(const std::string& bucket) const {
    Usage usage;
    for (const auto& [key, versions] : buckets.at(bucket).keys)
      for (const Object& object : versions) {
        usage.bytes += object.body.size();
        ++usage.versions;
      }
    return usage;
  }

  // The version, or the latest, which may be a marker.
  const Object* find(const std::string& bucket, const std::string& key,
                     const VersionName& version = {}) const {
    auto in = buckets.find(bucket);
    if (in == buckets.end()) return nullptr;
    auto found = in->second.keys.find(key);
    if (found == in->second.keys.end()) return nullptr;
    if (!version) return &found->second.front();
    for (const Object& object : found->second)
      if (object.info.version == *version) return &object;
    return nullptr;
  }

  std::map<std::string, ModelBucket> buckets;

 private:
  static bool locked(const Object& object, UnixMs now, bool bypass) {
    const Attributes& a = object.info.attributes;
    if (a.legal_hold) return true;
    if (a.retention.mode == Retention::Mode::none || a.retention.until_ms <= now) return false;
    return a.retention.mode == Retention::Mode::compliance || !bypass;
  }
  static void erase(ModelBucket& bucket, const std::string& key, const Object* object) {
    std::vector<Object>& versions = bucket.keys.at(key);
    versions.erase(versions.begin() + (object - versions.data()));
    if (versions.empty()) bucket.keys.erase(key);
  }
  static std::string place(ModelBucket& bucket, const std::string& key, Object object, UnixMs now,
                           const std::string& id) {
    object.null = bucket.versioning != Versioning::enabled;
    object.info.version = id;
    auto found = bucket.keys.find(key);
    if (object.null && found != bucket.keys.end()) {
      auto null_one = std::ranges::find_if(found->second, &Object::null);
      if (null_one != found->second.end()) {
        if (locked(*null_one, now, false)) return "AccessDenied";
        erase(bucket, key, &*null_one);
      }
    }
    std::vector<Object>& versions = bucket.keys[key];
    versions.insert(versions.begin(), std::move(object));
    return "ok";
  }
  std::string write(ModelBucket& bucket, const std::string& key, const Conditions& conditions, Object object,
                    const std::string& id) {
    const Attributes& a = object.info.attributes;
    if (!bucket.lock && (a.legal_hold || a.retention.mode != Retention::Mode::none)) return "InvalidRequest";
    auto found = bucket.keys.find(key);
    const Object* current = found == bucket.keys.end() ? nullptr : &found->second.front();
    if (current && current->info.delete_marker) current = nullptr;
    std::string refused = refuse_write(conditions, current);
    if (refused != "ok") return refused;
    ModelBucket before = bucket;
    const UnixMs now = object.info.modified_ms;
    refused = place(bucket, key, std::move(object), now, id);
    if (refused == "ok" && over_quota(before, bucket)) refused = "QuotaExceeded";
    if (refused != "ok") bucket = std::move(before);
    return refused;
  }
  static bool over_quota(const ModelBucket& before, const ModelBucket& after) {
    Usage was = sum(before), is = sum(after);
    const Quota& quota = after.quota;
    return (quota.bytes > 0 && is.bytes > was.bytes && is.bytes > quota.bytes) ||
           (quota.versions > 0 && is.versions > was.versions && is.versions > quota.versions);
  }
  static Usage sum(const ModelBucket& bucket) {
    Usage usage;
    for (const auto& [key, versions] : bucket.keys)
      for (const Object& object : versions) {
        usage.bytes += object.body.size();
        ++usage.versions;
      }
    return usage;
  }
  static bool any(const std::vector<std::string>& etags, const std::string& etag) {
    return std::find(etags.begin(), etags.end(), etag) != etags.end() ||
           std::find(etags.begin(), etags.end(), "*") != etags.end();
  }
  static std::string refuse_read(const Conditions& c, const Object& object) {
    bool newer_than_unmodified =
        c.if_unmodified_since_ms && object.info.modified_ms / 1000 > *c.if_unmodified_since_ms / 1000;
    bool newer_than_modified =
        c.if_modified_since_ms && object.info.modified_ms / 1000 > *c.if_modified_since_ms / 1000;
    if (!c.if_match.empty() && !any(c.if_match, object.info.etag)) return "PreconditionFailed";
    if (c.if_match.empty() && newer_than_unmodified) return "PreconditionFailed";
    if (!c.if_none_match.empty() && any(c.if_none_match, object.info.etag)) return "NotModified";
    if (c.if_none_match.empty() && c.if_modified_since_ms && !newer_than_modified) return "NotModified";
    return "ok";
  }
  static std::string refuse_write(const Conditions& c, const Object* current) {
    if (!current) return c.if_match.empty() ? "ok" : "NoSuchKey";
    return refuse_read(c, *current) == "ok" ? "ok" : "PreconditionFailed";
  }
};

}  // namespace archipel::store
