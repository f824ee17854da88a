#include "app/service_manager.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

namespace archipel::app {
namespace {

// What a service manager has: a socket with an abstract name.
class Manager {
 public:
  Manager()
      : fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)),
        name_("@archipel-test-" + std::to_string(::getpid())) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path + 1, name_.data() + 1, name_.size() - 1);
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name_.size());
    EXPECT_EQ(::bind(fd_, reinterpret_cast<sockaddr*>(&address), size), 0);
  }
  ~Manager() { ::close(fd_); }
  const std::string& name() const { return name_; }
  std::string heard() {
    char buffer[4096];
    const ssize_t n = ::recv(fd_, buffer, sizeof buffer, MSG_DONTWAIT);
    return n < 0 ? "" : std::string(buffer, static_cast<size_t>(n));
  }

 private:
  const int fd_;
  const std::string name_;
};

TEST(ServiceManager, IsToldWhoServes) {
  Manager manager;
  EXPECT_TRUE(send_service_message(manager.name(), service_message(ServiceState::ready, "two\nlines", 7, 0)));
  EXPECT_EQ(manager.heard(), "READY=1\nMAINPID=7\nSTATUS=two lines\n");
  EXPECT_EQ(service_message(ServiceState::reloading, "x", 7, 1234),
            "RELOADING=1\nMONOTONIC_USEC=1234\nSTATUS=x\n");
  EXPECT_EQ(service_message(ServiceState::stopping, "x", 7, 0), "STOPPING=1\nSTATUS=x\n");
}

TEST(ServiceManager, OneThatIsNotThereIsAnError) {
  EXPECT_FALSE(send_service_message("@archipel-nobody", "READY=1"));
  EXPECT_FALSE(send_service_message("relative", "READY=1"));
  EXPECT_FALSE(send_service_message("/" + std::string(200, 'x'), "READY=1"));
  EXPECT_FALSE(send_service_message("", "READY=1"));
}

}  // namespace
}  // namespace archipel::app
