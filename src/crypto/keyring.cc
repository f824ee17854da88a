#include "crypto/keyring.h"

#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <map>
#include <mutex>
#include <shared_mutex>

#include "crypto/hash.h"
#include "crypto/keyring_file.h"

namespace archipel::crypto {
namespace {

// Memory between guard pages, locked if RLIMIT_MEMLOCK allows and left out of core dumps; cleared when freed.
void* allocate_locked(size_t size) {
  static const bool ready = sodium_init() >= 0;
  CHECK(ready);
  void* memory = sodium_malloc(size);
  CHECK(memory != nullptr);
  return memory;
}
struct FreeLocked {
  template <class T>
  void operator()(T* object) const {
    object->~T();
    sodium_free(object);
  }
};
template <class T>
using Locked = std::unique_ptr<T, FreeLocked>;
template <class T>
Locked<T> make_locked() {
  static_assert(alignof(T) == 1);  // sodium_malloc aligns the end of an object, not its start
  return Locked<T>(new (allocate_locked(sizeof(T))) T());
}

// Purposes come from our code and the roster of islands; more than this is a bug.
constexpr size_t kSubkeysMax = 4096;

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

std::string directory_of(const std::string& path) {
  size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Result<void> write_and_sync(const std::string& path, std::string_view content) {
  Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (fd.get() < 0) return fail_errno(errno, "cannot create " + path);
  while (!content.empty()) {
    ssize_t written = ::write(fd.get(), content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail_errno(errno, "cannot write " + path);
    content.remove_prefix(static_cast<size_t>(written));
  }
  if (::fsync(fd.get()) != 0) return fail_errno(errno, "cannot sync " + path);
  return {};
}

// Gives the file its final name unless something has it already. Not every file system knows both ways.
Result<void> rename_without_overwriting(const std::string& from, const std::string& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return {};
  if (errno == EINVAL || errno == ENOSYS) {
    if (::link(from.c_str(), to.c_str()) == 0) {
      ::unlink(from.c_str());
      return {};
    }
  }
  if (errno == EEXIST)
    return fail(Code::exists, "the keyring " + to + " exists and is not overwritten; move it away first");
  return fail_errno(errno, "cannot create the keyring " + to);
}

Result<void> sync_directory(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0 || ::fsync(fd.get()) != 0) return fail_errno(errno, "cannot sync the directory " + path);
  return {};
}

Result<std::string> read_private_file(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (fd.get() < 0) return fail_errno(errno, "cannot open the keyring " + path);
  struct stat status;
  if (::fstat(fd.get(), &status) != 0) return fail_errno(errno, "cannot examine the keyring " + path);
  if (!S_ISREG(status.st_mode)) return fail(Code::invalid, "the keyring " + path + " is not a regular file");
  if ((status.st_mode & 077) != 0)
    return fail(Code::invalid,
                "the keyring " + path + " is open to other users; make it private with: chmod 600 " + path);
  std::string content(kKeyringFileBytes + 1, '\0');  // one more: a longer file is seen to be longer
  size_t size = 0;
  while (size < content.size()) {
    ssize_t got = ::read(fd.get(), content.data() + size, content.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno(errno, "cannot read the keyring " + path);
    if (got == 0) break;
    size += static_cast<size_t>(got);
  }
  content.resize(size);
  return content;
}

std::unexpected<Error> about(const std::string& path, Error error) {
  error.message = "the keyring " + path + " " + error.message;
  return fail(std::move(error));
}

}  // namespace

struct Keyring::State {
  Locked<KeyringSecrets> secrets = make_locked<KeyringSecrets>();
  std::shared_mutex mutex;
  std::map<std::string, Locked<Secret32>, std::less<>>
      subkeys;  // nodes stay where they are: references to keys live on
};

Keyring::Keyring() : state_(std::make_unique<State>()) {}
Keyring::~Keyring() = default;

std::unique_ptr<Keyring> Keyring::generate(Random& random) {
  std::unique_ptr<Keyring> keyring(new Keyring());
  KeyringSecrets& secrets = *keyring->state_->secrets;
  random.fill(secrets.realm);
  random.fill(secrets.root.mutable_view());
  for (Secret32& kek : secrets.keks) random.fill(kek.mutable_view());
  return keyring;
}

Result<void> Keyring::save(const std::string& path, std::string_view passphrase, Random& random) const {
  auto encoded = encode_keyring(*state_->secrets, passphrase, KdfCost{}, random);
  if (!encoded) return about(path, std::move(encoded).error());
  std::string temporary = path + ".new-" + hex(random.bytes<8>());
  auto written = write_and_sync(temporary, *encoded);
  if (written) written = rename_without_overwriting(temporary, path);
  if (!written) {
    ::unlink(temporary.c_str());
    return written;
  }
  return sync_directory(directory_of(path));
}

Result<std::unique_ptr<Keyring>> Keyring::load(const std::string& path, std::string_view passphrase) {
  ASSIGN_OR_RETURN(std::string content, read_private_file(path));
  std::unique_ptr<Keyring> keyring(new Keyring());
  auto decoded = decode_keyring(as_bytes(content), passphrase, *keyring->state_->secrets);
  if (!decoded) return about(path, std::move(decoded).error());
  return keyring;
}

const RealmId& Keyring::realm() const {
  return state_->secrets->realm;
}

const Secret32& Keyring::subkey(const std::string& purpose) const {
  State& s = *state_;
  {
    std::shared_lock lock(s.mutex);
    auto found = s.subkeys.find(purpose);
    if (found != s.subkeys.end()) return *found->second;
  }
  auto key = make_locked<Secret32>();
  std::string info = "archipel/1 subkey " + purpose;
  hkdf_sha256(s.secrets->root.view(), s.secrets->realm, as_bytes(info), key->mutable_view());
  std::unique_lock lock(s.mutex);
  CHECK(s.subkeys.size() < kSubkeysMax);
  return *s.subkeys.try_emplace(purpose, std::move(key)).first->second;  // another thread may have been first
}

const Secret32& Keyring::kek(int slot) const {
  CHECK(slot >= 0 && slot < kKekSlots);
  return state_->secrets->keks[static_cast<size_t>(slot)];
}

}  // namespace archipel::crypto
