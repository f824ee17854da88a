#include "extent/geometry.h"

namespace archipel::extent {

Result<void> check_geometry(const Geometry& g) {
  RETURN_IF_ERROR(erasure::check_code(g.code));
  if (g.cell_bytes < 1 || g.cell_bytes > kCellBytesMax) {
    return fail(Code::invalid, "cell size " + std::to_string(g.cell_bytes) + " is not in 1.." +
                                   std::to_string(kCellBytesMax));
  }
  if (g.length > kExtentBytesMax) {
    return fail(Code::invalid, "extent of " + std::to_string(g.length) + " bytes is over the limit of " +
                                   std::to_string(kExtentBytesMax));
  }
  return {};
}

}  // namespace archipel::extent
