// Which of the administrator's paths the door's own port answers, and to whom. With [listen] admin they are on that port alone.
#pragma once

#include <string_view>

#include "http/message.h"

namespace archipel::app {

// Is `request` one of GET or HEAD /healthz, /readyz and /metrics, unsigned and without a query, that is answered beside S3?
//
// Not if Host names a bucket: "/healthz" is then a key. /metrics, only to this machine: the peer has a loopback address; Host is localhost
// or a loopback address, which a page of a foreign name (DNS rebinding) cannot say; and no proxy has passed it on.
bool is_admin_on_own_port(const http::Request& request, std::string_view virtual_host_base);

}  // namespace archipel::app
