// A load generator: PUT or GET of objects of one size, or GETs of one target, over C keep-alive connections, with TLS or without, for a bounded time and count, with the CPU
// time the server spent meanwhile. Blocking sockets, one thread per connection. Prints one JSON line; bench/s3.py compares servers.
//
// Before anything is timed, one object is stored and read back, and each connection compares every body it reads.
#include <arpa/inet.h>
#include <dirent.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "base/bytes.h"
#include "crypto/hash.h"

namespace archipel {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr size_t kHeadBytesMax = 32u << 10;
constexpr time_t kSocketTimeoutSeconds = 30;
constexpr int kKeysPerConnection = 4;  // PUTs overwrite these in turn
constexpr int64_t kFailuresMax = 10;   // a run with more is not worth finishing

struct Options {
  std::string endpoint, op = "get", bucket = "bench", access_key, secret_key, region = "archipel-1";
  size_t size = 4096;
  int connections = 16, pid = 0;
  double seconds = 2;
  int64_t count = INT64_MAX;
  bool create_bucket = false, tls = false;
  std::string target;  // op target: "/bucket?list-type=2", its query sorted and encoded as signing wants it
  bool sign() const { return !access_key.empty(); }
};

[[noreturn]] void die(const std::string& message) {
  fmt::print(stderr, "s3load: {}\n", message);
  std::exit(1);
}

// ---- signing: AWS Signature Version 4 in headers, UNSIGNED-PAYLOAD -------------------------------------------------

std::string hmac(std::string_view key, std::string_view data) {
  auto digest = crypto::hmac_sha256(as_bytes(key), as_bytes(data));
  return std::string(as_text(digest));
}

class Signer {
 public:
  explicit Signer(const Options& options) : options_(options) {}

  // Header lines, each with CRLF; empty if requests are not signed.
  std::string headers(std::string_view method, std::string_view target) {
    if (!options_.sign()) return "";
    const size_t mark = target.find('?');
    const std::string_view path = target.substr(0, mark);
    const std::string_view query = mark == std::string_view::npos ? "" : target.substr(mark + 1);
    std::time_t now = std::time(nullptr);
    if (now != second_) start_second(now);
    std::string canonical = fmt::format(
        "{}\n{}\n{}\nhost:{}\nx-amz-content-sha256:UNSIGNED-PAYLOAD\nx-amz-date:{}\n\n"
        "host;x-amz-content-sha256;x-amz-date\nUNSIGNED-PAYLOAD",
        method, path, query, options_.endpoint, stamp_);
    std::string to_sign =
        fmt::format("AWS4-HMAC-SHA256\n{}\n{}\n{}", stamp_, scope_, hex(crypto::sha256(as_bytes(canonical))));
    return fmt::format(
        "x-amz-content-sha256: UNSIGNED-PAYLOAD\r\nx-amz-date: {}\r\n"
        "Authorization: AWS4-HMAC-SHA256 Credential={}/{}, "
        "SignedHeaders=host;x-amz-content-sha256;x-amz-date, "
        "Signature={}\r\n",
        stamp_, options_.access_key, scope_, hex(as_bytes(hmac(key_, to_sign))));
  }

 private:
  void start_second(std::time_t now) {
    second_ = now;
    std::tm utc{};
    gmtime_r(&now, &utc);
    char text[32];
    std::strftime(text, sizeof text, "%Y%m%dT%H%M%SZ", &utc);
    stamp_ = text;
    std::string day = stamp_.substr(0, 8);
    scope_ = day + "/" + options_.region + "/s3/aws4_request";
    key_ = hmac(hmac(hmac(hmac("AWS4" + options_.secret_key, day), options_.region), "s3"), "aws4_request");
  }
  const Options& options_;
  std::time_t second_ = 0;
  std::string stamp_, scope_, key_;
};

// ---- one connection ------------------------------------------------------------------------------------------------

class Connection {
 public:
  explicit Connection(const Options& options) : options_(options), signer_(options) { connect(); }
  Connection(const Connection&) = delete;
  ~Connection() { disconnect(); }

  // The status; 0 if the connection failed, which is then made anew. The body lands in body().
  int request(std::string_view method, const std::string& path, std::string_view send_body) {
    std::string head = fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\n", method, path, options_.endpoint);
    if (method == "PUT") head += fmt::format("Content-Length: {}\r\n", send_body.size());
    head += signer_.headers(method, path);
    head += "\r\n";
    int status = send(head, send_body) ? receive() : 0;
    if (status == 0 || closing_) {
      disconnect();
      connect();
    }
    return status;
  }
  const std::string& body() const { return body_; }

 private:
  void connect() {
    size_t colon = options_.endpoint.rfind(':');
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<uint16_t>(std::atoi(options_.endpoint.substr(colon + 1).c_str())));
    if (inet_pton(AF_INET, options_.endpoint.substr(0, colon).c_str(), &to.sin_addr) != 1) {
      die("'" + options_.endpoint + "' is not an IPv4 ADDR:PORT");
    }
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    timeval limit{kSocketTimeoutSeconds, 0};
    setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0)
      die("cannot connect to " + options_.endpoint);
    if (options_.tls) {
      static SSL_CTX* const context =
          SSL_CTX_new(TLS_client_method());  // trusts anybody: this is about speed
      ssl_ = SSL_new(context);
      SSL_set_fd(ssl_, fd_);
      if (SSL_connect(ssl_) != 1) die("the TLS handshake with " + options_.endpoint + " failed");
    }
    input_.clear();
    closing_ = false;
  }

  void disconnect() {
    if (ssl_ != nullptr) SSL_free(std::exchange(ssl_, nullptr));
    ::close(fd_);
  }

  ssize_t read_some(char* to, size_t size) {
    if (ssl_ != nullptr) return SSL_read(ssl_, to, static_cast<int>(std::min<size_t>(size, 1 << 30)));
    return ::recv(fd_, to, size, 0);
  }

  bool send_sealed(std::string_view head, std::string_view send_body) {
    // As clients do: a small body leaves in the record of its head.
    std::string first(head);
    const size_t with_head =
        std::min<size_t>(send_body.size(), 16'384 - std::min<size_t>(head.size(), 16'384));
    first.append(send_body.substr(0, with_head));
    send_body.remove_prefix(with_head);
    if (SSL_write(ssl_, first.data(), static_cast<int>(first.size())) <= 0) return false;
    return send_body.empty() || SSL_write(ssl_, send_body.data(), static_cast<int>(send_body.size())) > 0;
  }

  bool send(std::string_view head, std::string_view send_body) {
    if (ssl_ != nullptr) return send_sealed(head, send_body);
    while (!head.empty() || !send_body.empty()) {
      iovec parts[2] = {{const_cast<char*>(head.data()), head.size()},
                        {const_cast<char*>(send_body.data()), send_body.size()}};
      msghdr message{};
      message.msg_iov = parts;
      message.msg_iovlen = 2;
      ssize_t sent = ::sendmsg(fd_, &message, MSG_NOSIGNAL);
      if (sent <= 0) return false;
      size_t of_head = std::min(head.size(), static_cast<size_t>(sent));
      head.remove_prefix(of_head);
      send_body.remove_prefix(static_cast<size_t>(sent) - of_head);
    }
    return true;
  }

  int receive() {
    size_t end;
    while ((end = input_.find("\r\n\r\n")) == std::string::npos) {
      char chunk[16 << 10];
      ssize_t got = read_some(chunk, sizeof chunk);
      if (got <= 0 || input_.size() > kHeadBytesMax) return 0;
      input_.append(chunk, static_cast<size_t>(got));
    }
    std::string head = input_.substr(0, end + 2);
    for (char& c : head) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    int status = head.size() > 12 ? std::atoi(head.c_str() + 9) : 0;
    closing_ = head.find("\r\nconnection: close\r\n") != std::string::npos;
    size_t length = 0;
    size_t field = head.find("\r\ncontent-length:");
    if (field != std::string::npos)
      length = std::strtoull(head.c_str() + field + 17, nullptr, 10);
    else if (status != 204 && status != 304)
      return 0;  // this client knows no other framing

    body_.resize(length);
    size_t have = std::min(length, input_.size() - end - 4);
    std::memcpy(body_.data(), input_.data() + end + 4, have);
    input_.erase(0, end + 4 + have);
    while (have < length) {
      ssize_t got = read_some(body_.data() + have, length - have);
      if (got <= 0) return 0;
      have += static_cast<size_t>(got);
    }
    return status;
  }

  const Options& options_;
  Signer signer_;
  int fd_ = -1;
  SSL* ssl_ = nullptr;
  bool closing_ = false;
  std::string input_, body_;
};

// ---- the server's CPU time -----------------------------------------------------------------------------------------

struct Cpu {
  double user = 0, system = 0;  // in clock ticks of 10 ms
  double total = 0;             // finer, of threads that still live
};

// Nanoseconds on a CPU of all living threads (proc(5), /proc/PID/task/TID/schedstat); 0 where the kernel does not tell.
double nanoseconds_of(int pid) {
  double sum = 0;
  DIR* tasks = opendir(fmt::format("/proc/{}/task", pid).c_str());
  if (tasks == nullptr) return 0;
  while (dirent* entry = readdir(tasks)) {
    if (entry->d_name[0] == '.') continue;
    std::ifstream file(fmt::format("/proc/{}/task/{}/schedstat", pid, entry->d_name));
    double on_cpu = 0;
    if (file >> on_cpu) sum += on_cpu;
  }
  closedir(tasks);
  return sum;
}

// Of the process and its direct children (proc(5), /proc/PID/stat: fields 4, 14 and 15).
Cpu cpu_of(int pid) {
  Cpu sum;
  if (pid == 0) return sum;
  DIR* proc = opendir("/proc");
  if (proc == nullptr) die("cannot read /proc");
  const double tick = 1.0 / static_cast<double>(sysconf(_SC_CLK_TCK));
  bool seen = false;
  while (dirent* entry = readdir(proc)) {
    int candidate = std::atoi(entry->d_name);
    if (candidate <= 0) continue;
    std::ifstream file(fmt::format("/proc/{}/stat", candidate));
    std::string line;
    if (!std::getline(file, line)) continue;
    std::istringstream fields(line.substr(line.rfind(')') + 2));  // the name may hold anything
    std::string word;
    int parent = 0;
    double user = 0, system = 0;
    for (int field = 3; field <= 15 && fields >> word; ++field) {
      if (field == 4) parent = std::atoi(word.c_str());
      if (field == 14) user = std::atof(word.c_str());
      if (field == 15) system = std::atof(word.c_str());
    }
    if (candidate != pid && parent != pid) continue;
    seen = seen || candidate == pid;
    sum.user += user * tick;
    sum.system += system * tick;
    sum.total += nanoseconds_of(candidate) / 1e9;
  }
  closedir(proc);
  if (!seen) die(fmt::format("the server process {} is gone", pid));
  return sum;
}

// ---- the run -------------------------------------------------------------------------------------------------------

std::string pattern(size_t size) {
  std::string text(size, '\0');
  uint64_t state = 0x9e3779b97f4a7c15;
  for (char& c : text) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    c = static_cast<char>(state >> 56);
  }
  return text;
}

struct Totals {
  std::atomic<int64_t> started{0}, done{0}, failed{0}, wrong{0}, keys{0};
};

int64_t count_of(std::string_view text, std::string_view word) {
  int64_t count = 0;
  for (size_t at = text.find(word); at != std::string_view::npos; at = text.find(word, at + word.size()))
    ++count;
  return count;
}

void drive(const Options& options, int number, const std::string& content, SteadyClock::time_point end,
           Totals& totals) {
  Connection connection(options);
  const bool put = options.op == "put";
  for (int i = 0; SteadyClock::now() < end && totals.started.fetch_add(1) < options.count; ++i) {
    std::string path = fmt::format("/{}/get-{}", options.bucket, options.size);
    if (put)
      path = fmt::format("/{}/put-{}-{}-{}", options.bucket, options.size, number, i % kKeysPerConnection);
    if (options.op == "target") path = options.target;
    int status = connection.request(put ? "PUT" : "GET", path, put ? content : "");
    bool good = put ? status >= 200 && status < 300 : status == 200;
    if (!good) {
      if (totals.failed.fetch_add(1) >= kFailuresMax) return;
    } else if (options.op == "target") {
      totals.keys += count_of(connection.body(), "<Key>") + count_of(connection.body(), "<CommonPrefixes>");
      ++totals.done;
    } else if (!put && connection.body() != content) {
      ++totals.wrong;
    } else {
      ++totals.done;
    }
  }
}

// Stores what GET reads, and proves that both ways carry the bytes unchanged.
void prepare(const Options& options, const std::string& content) {
  Connection connection(options);
  if (options.create_bucket) {
    int status = connection.request("PUT", "/" + options.bucket, "");
    if (status != 200 && status != 409)
      die(fmt::format("creating the bucket answered {}: {}", status, connection.body()));
  }
  std::string path = fmt::format("/{}/get-{}", options.bucket, options.size);
  int status = connection.request("PUT", path, content);
  if (status < 200 || status >= 300)
    die(fmt::format("PUT {} answered {}: {}", path, status, connection.body()));
  status = connection.request("GET", path, "");
  if (status != 200) die(fmt::format("GET {} answered {}", path, status));
  if (connection.body() != content) die("GET " + path + " returned other bytes than were stored");
}

int run(const Options& options) {
  const std::string content = pattern(options.size);
  if (options.op != "target") prepare(options, content);
  Totals totals;
  Cpu before = cpu_of(options.pid);
  auto start = SteadyClock::now();
  auto end = start + std::chrono::duration_cast<SteadyClock::duration>(
                         std::chrono::duration<double>(options.seconds));
  std::vector<std::thread> threads;
  threads.reserve(static_cast<size_t>(options.connections));
  for (int i = 0; i < options.connections; ++i) {
    threads.emplace_back([&, i] { drive(options, i, content, end, totals); });
  }
  for (std::thread& thread : threads) thread.join();
  double seconds = std::chrono::duration<double>(SteadyClock::now() - start).count();
  Cpu after = cpu_of(options.pid);
  double user = after.user - before.user, system = after.system - before.system;
  fmt::print(
      "{{\"op\":\"{}\",\"bytes\":{},\"connections\":{},\"requests\":{},\"failed\":{},\"wrong\":{},"
      "\"seconds\":{:.3f},"
      "\"keys\":{},\"user_seconds\":{:.2f},\"system_seconds\":{:.2f},\"cpu_seconds\":{:.6f}}}\n",
      options.op, options.size, options.connections, totals.done.load(), totals.failed.load(),
      totals.wrong.load(), seconds, totals.keys.load(), user, system,
      std::max(user + system, after.total - before.total));
  return totals.failed == 0 && totals.wrong == 0 ? 0 : 1;
}

}  // namespace
}  // namespace archipel

int main(int argc, char** argv) {
  archipel::Options options;
  CLI::App app{"PUT or GET load against an S3 (or plain HTTP) endpoint, with the server's CPU time."};
  app.footer(
      "Example: s3load --endpoint 127.0.0.1:9000 --op put --size 4096 --pid 123 --access-key K "
      "--create-bucket");
  app.add_option("--endpoint", options.endpoint, "IPv4 ADDR:PORT")->required();
  app.add_option("--op", options.op, "put, get or target")->check(CLI::IsMember({"put", "get", "target"}));
  app.add_option("--target", options.target,
                 "with --op target: what to GET; keys in the answers are counted");
  app.add_flag("--tls", options.tls, "speak TLS, whoever answers");
  app.add_option("--size", options.size, "bytes of each object")->check(CLI::Range(0, 1 << 30));
  app.add_option("--connections", options.connections)->check(CLI::Range(1, 1024));
  app.add_option("--seconds", options.seconds, "stop after")->check(CLI::Range(0.01, 600.0));
  app.add_option("--count", options.count, "stop after this many requests");
  app.add_option("--pid", options.pid, "the server's process, for its CPU time");
  app.add_option("--bucket", options.bucket);
  app.add_option("--region", options.region);
  app.add_option("--access-key", options.access_key,
                 "signs requests; the secret is read from ARCHIPEL_BENCH_SECRET");
  app.add_flag("--create-bucket", options.create_bucket);
  CLI11_PARSE(app, argc, argv);
  if (const char* secret = std::getenv("ARCHIPEL_BENCH_SECRET")) options.secret_key = secret;
  return archipel::run(options);
}
