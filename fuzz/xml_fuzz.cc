// The XML documents that clients send. Properties: limits hold, and keys that come out survive a round trip through our own writer.
#include "door/s3/xml.h"
#include "fuzz_support.h"

using namespace archipel;
using namespace archipel::door::s3;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view in = as_text({data, size});
  (void)parse_create_bucket(in);
  Result<DeleteDocument> decoded = parse_delete(in);
  if (!decoded) {
    MUST(!decoded.error().detail.empty());
    return 0;
  }
  MUST(!decoded->keys.empty() && decoded->keys.size() <= kDeleteKeysMax);
  XmlWriter writer("Delete");
  for (const std::string& key : decoded->keys)
    writer.open("Object").element("Key", std::string_view(key)).close();
  Result<DeleteDocument> again = parse_delete(writer.take());
  MUST(again && again->keys == decoded->keys);
  return 0;
}
