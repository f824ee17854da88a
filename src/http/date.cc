#include "http/date.h"

#include <algorithm>
#include <array>
#include <chrono>

namespace archipel::http {
namespace {

constexpr std::array<std::string_view, 7> kDays = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
constexpr std::array<std::string_view, 7> kLongDays = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                       "Thursday", "Friday", "Saturday"};
constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
constexpr UnixMs kYear0 = -62'167'219'200'000;        // 0000-01-01T00:00:00Z
constexpr UnixMs kYear9999End = 253'402'300'799'999;  // 9999-12-31T23:59:59.999Z

struct Civil {
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, millisecond = 0;
  unsigned weekday = 0;  // 0 = Sunday
};

Civil to_civil(UnixMs when) {
  using namespace std::chrono;
  sys_time<milliseconds> t{milliseconds(std::clamp(when, kYear0, kYear9999End))};
  auto midnight = floor<days>(t);
  year_month_day date(midnight);
  hh_mm_ss<milliseconds> time(t - midnight);
  return {.year = static_cast<int>(date.year()),
          .month = static_cast<int>(static_cast<unsigned>(date.month())),
          .day = static_cast<int>(static_cast<unsigned>(date.day())),
          .hour = static_cast<int>(time.hours().count()),
          .minute = static_cast<int>(time.minutes().count()),
          .second = static_cast<int>(time.seconds().count()),
          .millisecond = static_cast<int>(time.subseconds().count()),
          .weekday = weekday(midnight).c_encoding()};
}

std::optional<UnixMs> from_civil(const Civil& c) {
  using namespace std::chrono;
  year_month_day date{year(c.year), month(static_cast<unsigned>(c.month)), day(static_cast<unsigned>(c.day))};
  if (!date.ok() || c.hour > 23 || c.minute > 59 || c.second > 60) return std::nullopt;
  int second = std::min(c.second, 59);
  auto t = sys_days(date) + hours(c.hour) + minutes(c.minute) + seconds(second);
  return duration_cast<milliseconds>(t.time_since_epoch()).count() + c.millisecond;
}

void put_number(std::string& out, int value, int width) {
  char digits[4];
  for (int i = width - 1; i >= 0; --i, value /= 10) digits[i] = static_cast<char>('0' + value % 10);
  out.append(digits, static_cast<size_t>(width));
}

// Consumes a fixed spelling piece by piece; the first piece that does not fit clears ok.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  void literal(std::string_view expected) {
    if (!text_.starts_with(expected)) return fail();
    text_.remove_prefix(expected.size());
  }
  bool accept(char c) {
    if (!text_.starts_with(c)) return false;
    text_.remove_prefix(1);
    return true;
  }
  int number(size_t width) {
    if (text_.size() < width) return fail(), 0;
    int value = 0;
    for (char c : text_.substr(0, width)) {
      if (c < '0' || c > '9') return fail(), 0;
      value = value * 10 + (c - '0');
    }
    text_.remove_prefix(width);
    return value;
  }
  template <size_t N>
  int one_of(const std::array<std::string_view, N>& names) {
    for (size_t i = 0; i < N; ++i)
      if (text_.starts_with(names[i])) {
        text_.remove_prefix(names[i].size());
        return static_cast<int>(i);
      }
    fail();
    return 0;
  }
  void time(Civil& c) {
    c.hour = number(2);
    literal(":");
    c.minute = number(2);
    literal(":");
    c.second = number(2);
  }
  // 1 to 9 digits of a fraction, as milliseconds.
  int fraction() {
    int value = 0, digits = 0;
    for (; !text_.empty() && text_[0] >= '0' && text_[0] <= '9'; text_.remove_prefix(1), ++digits)
      if (digits < 3) value = value * 10 + (text_[0] - '0');
    if (digits == 0 || digits > 9) fail();
    for (; digits < 3; ++digits) value *= 10;
    return value;
  }
  bool done() const { return ok_ && text_.empty(); }

 private:
  void fail() {
    ok_ = false;
    text_ = {};
  }
  std::string_view text_;
  bool ok_ = true;
};

std::optional<UnixMs> parse_imf(std::string_view text) {
  Scanner in(text);
  Civil c;
  in.one_of(kDays);
  in.literal(", ");
  c.day = in.number(2);
  in.literal(" ");
  c.month = in.one_of(kMonths) + 1;
  in.literal(" ");
  c.year = in.number(4);
  in.literal(" ");
  in.time(c);
  in.literal(" GMT");
  return in.done() ? from_civil(c) : std::nullopt;
}

std::optional<UnixMs> parse_rfc850(std::string_view text, UnixMs now) {
  Scanner in(text);
  Civil c;
  in.one_of(kLongDays);
  in.literal(", ");
  c.day = in.number(2);
  in.literal("-");
  c.month = in.one_of(kMonths) + 1;
  in.literal("-");
  int two_digits = in.number(2);
  in.literal(" ");
  in.time(c);
  in.literal(" GMT");
  if (!in.done()) return std::nullopt;
  int this_year = to_civil(now).year;
  c.year = this_year / 100 * 100 + two_digits;
  if (c.year > this_year + 50) c.year -= 100;
  return from_civil(c);
}

std::optional<UnixMs> parse_asctime(std::string_view text) {
  Scanner in(text);
  Civil c;
  in.one_of(kDays);
  in.literal(" ");
  c.month = in.one_of(kMonths) + 1;
  in.literal(" ");
  c.day = in.accept(' ') ? in.number(1) : in.number(2);
  in.literal(" ");
  in.time(c);
  in.literal(" ");
  c.year = in.number(4);
  return in.done() ? from_civil(c) : std::nullopt;
}

}  // namespace

std::string format_http_date(UnixMs when) {
  Civil c = to_civil(when);
  std::string out;
  out.reserve(29);
  out.append(kDays[c.weekday]).append(", ");
  put_number(out, c.day, 2);
  out.append(" ").append(kMonths[static_cast<size_t>(c.month - 1)]).append(" ");
  put_number(out, c.year, 4);
  out.push_back(' ');
  put_number(out, c.hour, 2);
  out.push_back(':');
  put_number(out, c.minute, 2);
  out.push_back(':');
  put_number(out, c.second, 2);
  out.append(" GMT");
  return out;
}

std::string format_iso_basic(UnixMs when) {
  Civil c = to_civil(when);
  std::string out;
  put_number(out, c.year, 4);
  put_number(out, c.month, 2);
  put_number(out, c.day, 2);
  out.push_back('T');
  put_number(out, c.hour, 2);
  put_number(out, c.minute, 2);
  put_number(out, c.second, 2);
  out.push_back('Z');
  return out;
}

std::string format_iso_extended(UnixMs when) {
  Civil c = to_civil(when);
  std::string out;
  out.reserve(24);
  put_number(out, c.year, 4);
  out.push_back('-');
  put_number(out, c.month, 2);
  out.push_back('-');
  put_number(out, c.day, 2);
  out.push_back('T');
  put_number(out, c.hour, 2);
  out.push_back(':');
  put_number(out, c.minute, 2);
  out.push_back(':');
  put_number(out, c.second, 2);
  out.push_back('.');
  put_number(out, c.millisecond, 3);
  out.push_back('Z');
  return out;
}

std::optional<UnixMs> parse_http_date(std::string_view text, UnixMs now) {
  if (text.size() == 29 && text[3] == ',') return parse_imf(text);
  if (text.size() == 24 && text[3] == ' ') return parse_asctime(text);
  return parse_rfc850(text, now);
}

std::optional<UnixMs> parse_iso_basic(std::string_view text) {
  Scanner in(text);
  Civil c;
  c.year = in.number(4);
  c.month = in.number(2);
  c.day = in.number(2);
  in.literal("T");
  c.hour = in.number(2);
  c.minute = in.number(2);
  c.second = in.number(2);
  in.literal("Z");
  return in.done() ? from_civil(c) : std::nullopt;
}

std::optional<UnixMs> parse_iso_extended(std::string_view text) {
  Scanner in(text);
  Civil c;
  c.year = in.number(4);
  in.literal("-");
  c.month = in.number(2);
  in.literal("-");
  c.day = in.number(2);
  in.literal("T");
  in.time(c);
  if (in.accept('.')) c.millisecond = in.fraction();
  in.literal("Z");
  return in.done() ? from_civil(c) : std::nullopt;
}

}  // namespace archipel::http
