// Chunked bodies: any bytes get the same verdict and content, whatever the split into reads and outputs.
#include "http/h1_properties_test_util.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace archipel;
  static const http::Limits wide;
  static const http::Limits narrow = [] {
    http::Limits l;
    l.trailer_bytes_max = 24;
    return l;
  }();
  std::string_view input = as_text({data, size});
  http::testing::check_chunked(input, wide, size);
  http::testing::check_chunked(input, narrow, size);
  return 0;
}
