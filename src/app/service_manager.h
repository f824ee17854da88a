// What a service manager is told (systemd's Type=notify): that the process serves, reads its configuration again, ends, or that another one goes on in its
// place. Without $NOTIFY_SOCKET nobody is told.
#pragma once

#include <string>

#include "base/result.h"

namespace archipel::app {

enum class ServiceState : uint8_t { ready, reloading, stopping };

// Never blocks for long: one datagram, dropped if it cannot be taken. Any thread. `status`: a line for those who ask (systemctl status).
void tell_service_manager(ServiceState state, const std::string& status);

// The message, for tests. `now_us`: of the monotonic clock, as a reload has to say it.
std::string service_message(ServiceState state, const std::string& status, int pid, int64_t now_us);
// One datagram to a socket as $NOTIFY_SOCKET names it: a path, or @ and an abstract name. invalid, io.
Result<void> send_service_message(const std::string& to, const std::string& message);

}  // namespace archipel::app
