#include "extent/cell_keys.h"

namespace archipel::extent {

CellKeys::CellKeys(const crypto::Keyring& keys) : key_(keys.subkey("cells/default").clone()) {}

}  // namespace archipel::extent
