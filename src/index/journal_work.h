// Journal blobs as work items of scrub and repair (extent/work_item.h): what needs the keyring is done here, and the rest needs the `cells`
// sub-key alone.
#pragma once

#include <memory>

#include "extent/work_item.h"
#include "index/chain_reader.h"

namespace archipel::index {

// On one loop. The references must outlive it.
class JournalWork {
 public:
  JournalWork(const crypto::Keyring& keys, const erasure::Coder& coder, const extent::Placement& placement,
              io::Workers& workers, io::Loop& home);

  // Reads header and record of `name` from whichever island has a valid copy first, and describes the blob as it must be on all of them. The caller
  // vouches that the record is proven: a commit of the chain at or below what is applied, or the open or claim of such an epoch.
  // unavailable: no island that answers has a valid copy.
  io::Task<Result<std::shared_ptr<const extent::WorkItem>>> item(ChainReader::Name name);

 private:
  const crypto::Keyring& keys_;
  const erasure::Coder& coder_;
  const extent::Placement& placement_;
  ChainReader reader_;
};

}  // namespace archipel::index
