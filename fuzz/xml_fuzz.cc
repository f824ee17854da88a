// The XML documents that clients send. Properties: limits hold, and keys that come out survive a round trip through our own writer.
#include "door/s3/bucket_documents.h"
#include "door/s3/xml.h"
#include "fuzz_support.h"

using namespace archipel;
using namespace archipel::door::s3;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view in = as_text({data, size});
  (void)parse_new_bucket(in);
  (void)parse_versioning(in);
  (void)parse_bucket_tagging(in);
  (void)parse_encryption(in);
  (void)parse_object_lock(in);
  (void)parse_website(in);
  (void)parse_xml(in, "Delete");
  Result<DeleteDocument> decoded = parse_delete(in, 1'700'000'000'000);
  if (!decoded) {
    MUST(!decoded.error().detail.empty());
    return 0;
  }
  MUST(!decoded->items.empty() && decoded->items.size() <= kDeleteKeysMax);
  XmlWriter writer("Delete");
  for (const store::DeleteItem& item : decoded->items)
    writer.open("Object").element("Key", std::string_view(item.key)).close();
  Result<DeleteDocument> again = parse_delete(writer.take(), 1'700'000'000'000);
  MUST(again && again->items.size() == decoded->items.size());
  for (size_t i = 0; i < again->items.size(); ++i) MUST(again->items[i].key == decoded->items[i].key);
  return 0;
}
