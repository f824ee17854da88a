// Phrases: the sentences of the solver, the ban and the moves, in one place. English, with numbers; a person reads them, no program parses them.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "exposure/rules.h"

namespace archipel::exposure::phrases {

std::string code(Code code);                                    // "[6, 3]"
std::string list(std::span<const std::string> words);           // "a, b, c"; long ones end in "and 5 more"
std::string sentences(std::span<const std::string> sentences);  // "…; …"
std::string quoted(std::span<const std::string> words);         // ["EU", "CH"]
std::string bases(std::span<const Basis> of);                   // "place, operator"
std::string count(uint64_t number, const char* one, const char* many);  // "1 island", "4 islands"
std::string dollars(double amount);                                     // "12.50"
std::string bytes(uint64_t bytes);                                      // "100.0 TB"
std::string at(const Where& where);                                     // " (archipel.toml:40:1)", or nothing

// Where an island lies by the bases that the policy looks at: "is US (parent)", "says no operator".
std::string lies(const RuleBook& book, size_t island);
// Rules, as they are written: "residency allow = [\"EU\"] of place".
std::string rule(const RuleBook& book, const Rule& rule);
// What a rule leaves of a cloud in which `code` is to be placed: the rule, numbers, names, file and line. `fixed`: the policy asks for this code.
std::string constraint(const RuleBook& book, const Rule& rule, Code code, bool fixed,
                       std::span<const std::string> journal);

}  // namespace archipel::exposure::phrases
