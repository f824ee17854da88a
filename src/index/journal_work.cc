#include "index/journal_work.h"

namespace archipel::index {
namespace {

// Whether an island answers is seen when it is asked; absences are not counted here.
std::vector<IslandSeen> all_present(size_t n) {
  std::vector<IslandSeen> seen(n);
  for (IslandSeen& one : seen) one.state = IslandSeen::State::present;
  return seen;
}

std::string describe(const ChainReader::Name& name) {
  const std::string epoch = std::to_string(name.epoch);
  if (name.kind == BlobKind::claim) return "the claim of epoch " + epoch;
  if (name.kind == BlobKind::open) return "the open of epoch " + epoch;
  return "commit " + epoch + "/" + std::to_string(name.seq);
}

}  // namespace

JournalWork::JournalWork(const crypto::Keyring& keys, const erasure::Coder& coder,
                         const extent::Placement& placement, io::Workers& workers, io::Loop& home)
    : keys_(keys),
      coder_(coder),
      placement_(placement),
      reader_(keys, coder, placement, workers, home, all_present(placement.islands.size())) {}

io::Task<Result<std::shared_ptr<const extent::WorkItem>>> JournalWork::item(ChainReader::Name name) {
  std::optional<OpenedBlob> blob = co_await reader_.find(name);
  if (!blob)
    co_return fail(Code::unavailable, "no island that answers has a valid copy of " + describe(name));
  const Header& header = blob->sealed.header;
  auto item = std::make_shared<extent::WorkItem>();
  item->ref = section_ref(header, name.open);
  if (header.section.length == 0) item->ref.geometry = {coder_.code(), 1, 0};
  item->record.emplace();
  item->record->bytes = header.record_bytes;
  item->record->digest = crypto::blake2b_256(blob->sealed.bytes);
  for (const auto& island : placement_.islands) {
    item->names.push_back(blob_name(keys_, island->id(), name.kind, name.epoch, name.open, name.seq));
    item->record->headers.push_back(masked_header(keys_, island->id(), item->names.back(), header));
  }
  CO_RETURN_IF_ERROR(extent::check_work_item(*item));
  co_return std::shared_ptr<const extent::WorkItem>(std::move(item));
}

}  // namespace archipel::index
