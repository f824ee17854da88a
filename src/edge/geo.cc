#include "edge/geo.h"

#include <maxminddb.h>
#include <netinet/in.h>

#include <cstring>

namespace archipel::edge {
namespace {

class MaxMindGeo final : public Geo {
 public:
  ~MaxMindGeo() override {
    if (open_) MMDB_close(&database_);
  }
  int open(const std::string& path) {
    int status = MMDB_open(path.c_str(), MMDB_MODE_MMAP, &database_);
    open_ = status == MMDB_SUCCESS;
    return status;
  }

  std::string country(const IpAddress& address) const override {
    sockaddr_storage storage{};
    if (address.v4()) {
      auto& v4 = reinterpret_cast<sockaddr_in&>(storage);
      v4.sin_family = AF_INET;
      std::memcpy(&v4.sin_addr, address.bytes.data() + 12, 4);
    } else {
      auto& v6 = reinterpret_cast<sockaddr_in6&>(storage);
      v6.sin6_family = AF_INET6;
      std::memcpy(&v6.sin6_addr, address.bytes.data(), 16);
    }
    int error = MMDB_SUCCESS;
    MMDB_lookup_result_s found =
        MMDB_lookup_sockaddr(&database_, reinterpret_cast<sockaddr*>(&storage), &error);
    if (error != MMDB_SUCCESS || !found.found_entry) return {};
    for (const char* field : {"country", "registered_country"}) {
      MMDB_entry_data_s data{};
      if (MMDB_get_value(&found.entry, &data, field, "iso_code", nullptr) != MMDB_SUCCESS || !data.has_data)
        continue;
      if (data.type == MMDB_DATA_TYPE_UTF8_STRING && data.data_size == 2) return {data.utf8_string, 2};
    }
    return {};
  }

 private:
  MMDB_s database_{};
  bool open_ = false;
};

}  // namespace

Result<std::shared_ptr<const Geo>> open_geo(const std::string& path) {
  auto geo = std::make_shared<MaxMindGeo>();
  int status = geo->open(path);
  if (status == MMDB_SUCCESS) return geo;
  Code code = status == MMDB_FILE_OPEN_ERROR ? Code::not_found
              : status == MMDB_IO_ERROR      ? Code::io
                                             : Code::invalid;
  return fail(code, "the geographic database " + path + " cannot be used: " + MMDB_strerror(status));
}

}  // namespace archipel::edge
