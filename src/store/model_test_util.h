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
    ObjectInfo info;
  };
  struct ModelBucket {
    std::string owner;
    std::map<std::string, Object> objects;
  };

  // Each operation answers "ok" or the S3 code.
  std::string create_bucket(const std::string& name, const std::string& owner) {
    auto found = buckets.find(name);
    if (found != buckets.end())
      return found->second.owner == owner ? "BucketAlreadyOwnedByYou" : "BucketAlreadyExists";
    buckets[name].owner = owner;
    return "ok";
  }

  std::string delete_bucket(const std::string& name) {
    auto found = buckets.find(name);
    if (found == buckets.end()) return "NoSuchBucket";
    if (!found->second.objects.empty()) return "BucketNotEmpty";
    buckets.erase(found);
    return "ok";
  }

  std::string put(const PutRequest& request, const std::string& body, UnixMs now) {
    auto found = buckets.find(request.bucket);
    if (found == buckets.end()) return "NoSuchBucket";
    std::string refused = refuse_write(request.conditions, find(request.bucket, request.key));
    if (refused != "ok") return refused;
    Object object;
    object.body = body;
    object.info.size = body.size();
    crypto::Md5 md5;
    md5.update(as_bytes(body));
    object.info.etag = hex(md5.finish());
    object.info.modified_ms = now;
    object.info.headers = request.headers;
    object.info.metadata = request.metadata;
    found->second.objects[request.key] = std::move(object);
    return "ok";
  }

  std::string copy(const CopyRequest& request, UnixMs now) {
    if (!buckets.contains(request.bucket) || !buckets.contains(request.source_bucket)) return "NoSuchBucket";
    bool itself = request.bucket == request.source_bucket && request.key == request.source_key;
    if (itself && !request.replace_metadata) return "InvalidRequest";
    if (buckets[request.bucket].owner != buckets[request.source_bucket].owner) return "AccessDenied";
    const Object* source = find(request.source_bucket, request.source_key);
    if (!source) return "NoSuchKey";
    std::string refused = refuse_read(request.source_conditions, *source);
    if (refused != "ok") return "PreconditionFailed";
    refused = refuse_write(request.conditions, find(request.bucket, request.key));
    if (refused != "ok") return refused;
    Object made = *source;
    made.info.modified_ms = now;
    if (request.replace_metadata) {
      made.info.headers = request.headers;
      made.info.metadata = request.metadata;
    }
    buckets[request.bucket].objects[request.key] = std::move(made);
    return "ok";
  }

  std::string remove(const std::string& bucket, const std::vector<std::string>& keys) {
    auto found = buckets.find(bucket);
    if (found == buckets.end()) return "NoSuchBucket";
    for (const std::string& key : keys) found->second.objects.erase(key);
    return "ok";
  }

  std::string get(const std::string& bucket, const std::string& key, const std::optional<Store::Range>& range,
                  const Conditions& conditions, std::string* body) const {
    if (!buckets.contains(bucket)) return "NoSuchBucket";
    const Object* object = find(bucket, key);
    if (!object) return "NoSuchKey";
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
    for (const auto& [key, object] : buckets.at(request.bucket).objects) {
      if (!key.starts_with(request.prefix)) continue;
      size_t at =
          request.delimiter.empty() ? std::string::npos : key.find(request.delimiter, request.prefix.size());
      if (at == std::string::npos) {
        if (key > request.start_after) items.push_back({key, &object});
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

  const Object* find(const std::string& bucket, const std::string& key) const {
    auto objects = buckets.find(bucket);
    if (objects == buckets.end()) return nullptr;
    auto found = objects->second.objects.find(key);
    return found == objects->second.objects.end() ? nullptr : &found->second;
  }

  std::map<std::string, ModelBucket> buckets;

 private:
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
