// What all connections of servers count, whatever version they speak. Internal to src/http.
#pragma once

#include "base/metrics.h"
#include "http/refusal.h"

namespace archipel::http {

metrics::Counter& requests_total();
metrics::Counter& received_total();
metrics::Counter& sent_total();
metrics::Counter& refused_total(Refusal refusal);

}  // namespace archipel::http
