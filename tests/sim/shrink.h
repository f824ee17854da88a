// Makes a plan that fails smaller, as long as it still fails.
#pragma once

#include "sim/plan.h"

namespace archipel::sim {

// Leaves out happenings and operations, each try in a process of its own, and prints what is left. Bounded in tries and time.
void print_shrunk(Plan plan);

}  // namespace archipel::sim
