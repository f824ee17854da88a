#include "app/admin.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <future>
#include <thread>

#include "http/uri.h"

namespace archipel::app {
namespace {

io::Task<void> count_down(AdminReply& reply) {
  const int from = std::atoi(reply.query("from").value_or("2").c_str());
  for (int i = from; i > 0; --i) {
    Result<void> said = co_await reply.line(std::to_string(i));
    if (!said) co_return;
  }
}
io::Task<void> echo(AdminReply& reply) {
  std::string text = reply.query("text").value_or("nothing");
  [[maybe_unused]] Result<void> said = co_await reply.line(std::move(text));
}
io::Task<void> decline(AdminReply& reply) {
  co_await reply.refuse(409, "there is one already");
}
io::Task<void> silent(AdminReply&) {
  co_return;
}

// An admin socket on a loop with a thread of its own, as a gateway has it.
class AdminTest : public testing::Test {
 protected:
  AdminTest() {
    std::filesystem::remove_all(dir);
    std::filesystem::create_directories(dir);
    loop->post([this] {
      admin.add("GET", "/count", count_down);
      admin.add("POST", "/echo", echo);
      admin.add("POST", "/decline", decline);
      admin.add("GET", "/silent", silent);
      Result<void> listening = admin.listen(dir);
      EXPECT_TRUE(listening.has_value());
      ready.set_value();
    });
    thread = std::thread([this] { loop->run(); });
    ready.get_future().wait();
  }
  ~AdminTest() override {
    std::optional<io::Task<void>> closing;
    loop->post([&] { closing.emplace(close(this)); });
    thread.join();
    std::filesystem::remove_all(dir);
  }
  static io::Task<void> close(AdminTest* self) {
    co_await self->admin.close();
    self->loop->stop();
  }

  Result<void> ask(const std::string& method, const std::string& target) {
    lines.clear();
    return ask_gateway(dir, method, target, [this](std::string_view line) { lines.emplace_back(line); });
  }

  std::string dir = testing::TempDir() + "/admin_" + std::to_string(getpid());
  std::unique_ptr<io::Loop> loop = io::make_loop();
  Admin admin{*loop};
  std::promise<void> ready;
  std::thread thread;
  std::vector<std::string> lines;
};

TEST_F(AdminTest, LinesComeInOrderHoweverMany) {
  ASSERT_TRUE(ask("GET", "/count?from=3").has_value());
  EXPECT_EQ(lines, (std::vector<std::string>{"3", "2", "1"}));
  ASSERT_TRUE(ask("GET", "/count?from=20000").has_value());
  EXPECT_EQ(lines.size(), 20000u);
  EXPECT_EQ(lines.back(), "1");
}

TEST_F(AdminTest, AValueArrivesAsItWasGiven) {
  const std::string text = "a b&c=d/é%+";
  ASSERT_TRUE(ask("POST", "/echo?x=1&text=" + http::uri_encode(text)).has_value());
  EXPECT_EQ(lines, (std::vector<std::string>{text}));
}

TEST_F(AdminTest, AHandlerThatSaysNothingIsAnEmptyAnswer) {
  ASSERT_TRUE(ask("GET", "/silent").has_value());
  EXPECT_TRUE(lines.empty());
}

TEST_F(AdminTest, RefusalsKeepTheirSentence) {
  Result<void> declined = ask("POST", "/decline");
  ASSERT_FALSE(declined.has_value());
  EXPECT_EQ(declined.error().code, Code::exists);
  EXPECT_EQ(declined.error().message, "there is one already");
  Result<void> unknown = ask("GET", "/echo");  // it is a POST
  ASSERT_FALSE(unknown.has_value());
  EXPECT_NE(unknown.error().message.find("GET /echo"), std::string::npos);
  EXPECT_TRUE(lines.empty());
}

TEST(Admin, WithoutAGatewayItIsSaidSo) {
  Result<void> asked = ask_gateway(testing::TempDir(), "GET", "/", [](std::string_view) {});
  ASSERT_FALSE(asked.has_value());
  EXPECT_EQ(asked.error().code, Code::not_found);
}

}  // namespace
}  // namespace archipel::app
