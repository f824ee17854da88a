// `archipel recover`: a start of the journal and a clean stop, with a report of what was found; and what an operator can say that the islands
// do not tell. Offline, under the lock of DIR.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "app/config.h"
#include "index/journal.h"

namespace archipel::app {

struct RecoverOptions {
  Config config;
  index::Attested attested;
  std::vector<index::Gone> gone;
  std::vector<std::string> rejoin;
  bool old_gateway_is_dead = false;
  bool json = false;  // one object a line; otherwise sentences
};

// Prints to `print`, line by line. True: the journal is in order and open to a gateway; false: it could be read only, and what would help was
// printed. Errors: as open_journal; nothing was written then.
Result<bool> recover_journal(RecoverOptions options,
                             const std::function<void(const std::string& line)>& print);

// "3:17:9f2a…" (epoch, seq, hash) or "17:9f2a…": as `recover` prints the last commit.
Result<index::Attested::AtLeast> parse_at_least(const std::string& text);
// "3:17"; 17 may be 0, the epoch itself.
Result<index::CommitPosition> parse_position(const std::string& text);
// "OLD=NEW" or "OLD".
Result<index::Gone> parse_gone(const std::string& text);

}  // namespace archipel::app
