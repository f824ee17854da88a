// How far the journal is acknowledged, for what follows it in the background: head slots, snapshots.
#pragma once

#include "index/record.h"
#include "io/sync.h"

namespace archipel::index {

// Home loop only. Written by the committer of the current epoch, after the view holds what is told here.
struct Progress {
  EpochOpen open;        // of the current epoch; epoch 0 until one is open
  Applied last;          // the last acknowledged commit, or the open (seq 0)
  uint64_t commits = 0;  // acknowledged since the process began
  uint64_t bytes = 0;    // of their records and sections, each counted once
  io::Event changed;

  void begin(const EpochOpen& opened, const Digest32& hash) {
    open = opened;
    last = {opened.epoch, 0, hash, opened.bits};
    changed.notify_all();
  }
  void advance(const Sealed& commit) {
    last.seq = commit.header.seq;
    last.hash = commit.hash;
    ++commits;
    bytes += commit.header.record_bytes + commit.header.section.length;
    changed.notify_all();
  }
};

}  // namespace archipel::index
