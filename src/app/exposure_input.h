// What a report is made of: facts, what the policies of a config come to, and what the cloud keeps.
#pragma once

#include "app/exposure_command.h"
#include "exposure/report.h"

namespace archipel::app {

// Reads the file of facts, or the config and its cloud. What cannot be had without the cloud (counts) is left out and said in the notes. Errors:
// those of the files; conflict of a policy that cannot hold: precondition; not_found: no such bucket or class.
Result<exposure::ReportInput> exposure_input(const ExposureCommand& command);

// Placings of what is kept otherwise than its policy says now: before a policy changed, or not yet confirmed everywhere. Under names of their own.
std::vector<exposure::Placing> placings_as_stored(const exposure::ReportInput& input);

// "1G", "10Gb/s", "500M", "9600": bits per second.
std::optional<double> parse_bandwidth(std::string_view text);

}  // namespace archipel::app
