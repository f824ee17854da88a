#include <fmt/format.h>

#include "edge/cache.h"

namespace archipel::edge {
namespace {

void metric(std::string& out, const char* name, const char* type, const char* help, uint64_t value) {
  out += fmt::format(
      "# HELP archipel_edge_cache_{0} {1}\n# TYPE archipel_edge_cache_{0} {2}\narchipel_edge_cache_{0} {3}\n",
      name, help, type, value);
}

}  // namespace

std::string metrics_text(const CacheStats& stats) {
  std::string out;
  metric(out, "memory_bytes", "gauge", "Bytes of the memory tier in use", stats.memory_bytes);
  metric(out, "memory_entries", "gauge", "Responses in memory", stats.memory_entries);
  metric(out, "memory_slices", "gauge", "Slices in memory that lie apart from their response",
         stats.memory_slices);
  metric(out, "memory_evicted_total", "counter", "Responses and slices that made room", stats.memory_evicted);
  metric(out, "memory_too_large_total", "counter", "Not stored: too large for memory",
         stats.memory_not_stored);
  metric(out, "purges", "gauge", "Purges that entries are still held against", stats.purges);
  metric(out, "disk_bytes", "gauge", "Bytes of regions that hold something", stats.disk_bytes);
  metric(out, "disk_objects", "gauge", "Responses, slices and variants on disk", stats.disk_objects);
  metric(out, "disk_index_bytes", "gauge", "Memory of the disk tier's index", stats.disk_index_bytes);
  metric(out, "disk_reads_total", "counter", "Records read", stats.disk_reads);
  metric(out, "disk_read_bytes_total", "counter", "Bytes read", stats.disk_read_bytes);
  metric(out, "disk_written_bytes_total", "counter", "Bytes written", stats.disk_written_bytes);
  metric(out, "disk_refused_total", "counter", "Not written: over the budget, or the disk was too slow",
         stats.disk_over_budget);
  metric(out, "disk_corrupt_total", "counter", "Records that failed their checksum", stats.disk_corrupt);
  metric(out, "disk_errors_total", "counter", "Reads and writes that failed", stats.disk_errors);
  metric(out, "disk_writable", "gauge", "1: there is a disk tier and it takes writes", stats.disk_writable);
  return out;
}

}  // namespace archipel::edge
