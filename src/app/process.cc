#include "app/process.h"

#include <fmt/format.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "base/log.h"

namespace archipel::app {

static log::Level level_of(const std::string& name) {
  if (name == "debug") return log::Level::debug;
  if (name == "warn") return log::Level::warn;
  if (name == "error") return log::Level::error;
  return log::Level::info;
}

void apply_log_config(const std::string& level, bool json) {
  log::set_level(level_of(level));
  log::set_json(json);
}

void raise_descriptor_limit() {
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  std::signal(SIGXFSZ, SIG_IGN);
}

namespace {

std::string read_proc(const char* path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// Field `number` of /proc/self/stat, counted from 1 as in proc(5): those behind the name, which may have blanks in it.
std::optional<double> stat_field(const std::string& stat, int number) {
  const size_t behind = stat.rfind(')');
  if (behind == std::string::npos) return std::nullopt;
  std::istringstream fields(stat.substr(behind + 1));
  std::string word;
  for (int i = 3; i <= number; ++i)
    if (!(fields >> word)) return std::nullopt;
  return std::strtod(word.c_str(), nullptr);
}

void process_metric(std::string& out, const char* name, const char* type, const char* help, double value) {
  out += fmt::format("# HELP process_{0} {2}\n# TYPE process_{0} {1}\nprocess_{0} {3}\n", name, type, help,
                     value);
}

}  // namespace

std::string process_metrics_text() {
  std::string out;
  const auto per_second = static_cast<double>(::sysconf(_SC_CLK_TCK));
  const std::string stat = read_proc("/proc/self/stat"), system = read_proc("/proc/stat");
  const auto user = stat_field(stat, 14), kernel = stat_field(stat, 15), threads = stat_field(stat, 20),
             began = stat_field(stat, 22), size = stat_field(stat, 23), resident = stat_field(stat, 24);
  if (user && kernel)
    process_metric(out, "cpu_seconds_total", "counter", "CPU time of this process, user and system",
                   (*user + *kernel) / per_second);
  std::error_code error;
  double open = 0;
  for (std::filesystem::directory_iterator at("/proc/self/fd", error), end; !error && at != end;
       at.increment(error))
    ++open;
  if (!error) process_metric(out, "open_fds", "gauge", "Open file descriptors", open);
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0)
    process_metric(out, "max_fds", "gauge", "File descriptors that this process may have",
                   static_cast<double>(files.rlim_cur));
  if (size) process_metric(out, "virtual_memory_bytes", "gauge", "Address space in use", *size);
  if (resident)
    process_metric(out, "resident_memory_bytes", "gauge", "Memory in use",
                   *resident * static_cast<double>(::sysconf(_SC_PAGESIZE)));
  if (threads) process_metric(out, "threads", "gauge", "Threads", *threads);
  const size_t boot = system.find("btime ");
  if (began && boot != std::string::npos)
    process_metric(out, "start_time_seconds", "gauge", "When this process began, in Unix time",
                   std::strtod(system.c_str() + boot + 6, nullptr) + *began / per_second);
  return out;
}

int loops_for(int threads) {
  return threads != 0 ? threads : static_cast<int>(std::clamp(std::thread::hardware_concurrency(), 1u, 64u));
}

std::string this_program() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).string();
}

Result<int> start_program(const std::string& program, const std::vector<std::string>& arguments) {
  std::vector<char*> pointers{const_cast<char*>(program.c_str())};
  for (const std::string& argument : arguments) pointers.push_back(const_cast<char*>(argument.c_str()));
  pointers.push_back(nullptr);
  pid_t child = 0;
  const int error = posix_spawn(&child, program.c_str(), nullptr, nullptr, pointers.data(), environ);
  if (error != 0) return fail_errno(error, "starting '" + program + "'");
  return child;
}

std::optional<int> ended_with(int child) {
  int status = 0;
  const pid_t ended = waitpid(child, &status, WNOHANG);
  if (ended == 0) return std::nullopt;
  return ended == child && WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int failed(const Error& error) {
  fmt::print(stderr, "archipel: {}\n", error.message);
  return 1;
}

void print_line(const std::string& line) {
  std::fwrite(line.data(), 1, line.size(), stdout);
  std::fputc('\n', stdout);
  std::fflush(stdout);
}

}  // namespace archipel::app
