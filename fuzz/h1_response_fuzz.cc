// Response heads of other servers: any bytes get the same verdict whatever the split, and an accepted head says one thing about its body.
#include "http/h1_properties_test_util.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace archipel;
  static const http::Limits wide;
  static const http::Limits narrow = [] {
    http::Limits l;
    l.request_line_bytes_max = 24;
    l.header_bytes_max = 64;
    l.headers_max = 3;
    return l;
  }();
  std::string_view input = as_text({data, size});
  for (bool to_head : {false, true}) {
    http::testing::check_response(input, wide, to_head, size);
    http::testing::check_response(input, narrow, to_head, size);
  }
  return 0;
}
