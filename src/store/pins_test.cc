#include "store/pins.h"

#include <gtest/gtest.h>

namespace archipel::store {
namespace {

using Kind = extent::ExtentRef::Kind;

TEST(Pins, HoldWhatAReaderNamedUntilItIsGone) {
  Pins pins;
  const ExtentKey a{Kind::data, {1, 2}}, b{Kind::section, {1, 2}};
  {
    Pins::Reader first = pins.begin_read();
    EXPECT_TRUE(pins.looking_before(pins.ticket()));
    first.hold({a, b});
    EXPECT_FALSE(pins.looking_before(pins.ticket()));
    Pins::Reader second = pins.begin_read();
    second.hold({a});
    second = Pins::Reader();
    EXPECT_EQ(pins.held(), (std::set<ExtentKey>{a, b}));
    Pins::Reader moved = std::move(first);
    EXPECT_EQ(pins.held(), (std::set<ExtentKey>{a, b}));
  }
  EXPECT_TRUE(pins.held().empty());
}

// Who asked for a ticket waits for earlier readers only: under steady reading there is always a later one.
TEST(Pins, LetATicketPassReadersThatCameLater) {
  Pins pins;
  Pins::Reader early = pins.begin_read();
  const uint64_t ticket = pins.ticket();
  Pins::Reader late = pins.begin_read();
  EXPECT_TRUE(pins.looking_before(ticket));
  early.hold({});
  EXPECT_FALSE(pins.looking_before(ticket));
  EXPECT_TRUE(pins.looking_before(pins.ticket()));
  late = Pins::Reader();
  EXPECT_FALSE(pins.looking_before(pins.ticket()));
}

TEST(Pins, KnowTheOldestEpochOfOpenUploads) {
  Pins pins;
  EXPECT_FALSE(pins.oldest_writer());
  Pins::Writer late = pins.begin_write(9);
  {
    Pins::Writer early = pins.begin_write(4), again = pins.begin_write(4);
    EXPECT_EQ(pins.oldest_writer(), 4u);
    early = Pins::Writer();
    EXPECT_EQ(pins.oldest_writer(), 4u);
  }
  EXPECT_EQ(pins.oldest_writer(), 9u);
}

}  // namespace
}  // namespace archipel::store
