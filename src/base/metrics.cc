#include "base/metrics.h"

#include <algorithm>
#include <mutex>
#include <tuple>

namespace archipel::metrics {
namespace {

struct Registry {
  std::mutex mutex;
  std::vector<const Metric*> all;
};

// Never destroyed: metrics at namespace scope may outlive any static.
Registry& registry() {
  static auto* r = new Registry;
  return *r;
}

std::string render_labels(const Labels& labels) {
  std::string out;
  for (const auto& [key, value] : labels) {
    out += out.empty() ? "{" : ",";
    out += key + "=\"";
    for (char c : value) {
      if (c == '\\' || c == '"') out += '\\';
      if (c == '\n')
        out += "\\n";
      else
        out += c;
    }
    out += '"';
  }
  return out.empty() ? out : out + "}";
}

}  // namespace

Metric::Metric(const char* type, std::string name, std::string help, Labels labels)
    : type_(type), name_(std::move(name)), help_(std::move(help)), labels_(render_labels(labels)) {
  std::lock_guard lock(registry().mutex);
  registry().all.push_back(this);
}

Metric::~Metric() {
  std::lock_guard lock(registry().mutex);
  std::erase(registry().all, this);
}

std::string expose() {
  std::lock_guard lock(registry().mutex);
  auto all = registry().all;
  std::sort(all.begin(), all.end(), [](const Metric* a, const Metric* b) {
    return std::tie(a->name_, a->labels_) < std::tie(b->name_, b->labels_);
  });
  std::string out;
  const std::string* previous = nullptr;
  for (const Metric* m : all) {
    if (previous == nullptr || *previous != m->name_) {
      out += "# HELP " + m->name_ + " " + m->help_ + "\n# TYPE " + m->name_ + " " + m->type_ + "\n";
      previous = &m->name_;
    }
    out += m->name_ + m->labels_ + " " + std::to_string(m->value()) + "\n";
  }
  return out;
}

}  // namespace archipel::metrics
