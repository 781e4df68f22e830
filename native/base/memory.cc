#include "base/memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>

#ifdef __APPLE__
#include <mach/mach.h>
#include <sys/sysctl.h>
#endif

#include "base/error.h"

namespace moescope {
namespace {

// Below this the heap serves: a page each would waste more than it gains.
constexpr size_t small = 64 * 1024;
constexpr size_t alignment = 64;

#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif

/** Mapped sizes go up in eighths of powers of two, so that blocks of about the same size fit each other. */
size_t mapped_size(size_t bytes) {
  size_t step = small / 8;
  while (step * 16 <= bytes) step *= 2;
  return round_up(bytes, step);
}

MachineMemory system_memory();

/** Blocks that ended, by size. */
class Kept {
 public:
  std::byte* take(size_t size) {
    const std::lock_guard lock(mutex_);
    const auto found = blocks_.find(size);
    if (found == blocks_.end()) return nullptr;
    std::byte* data = found->second;
    blocks_.erase(found);
    bytes_ -= size;
    return data;
  }
  bool keep(std::byte* data, size_t size) {
    const std::lock_guard lock(mutex_);
    if (too_large(size) || bytes_ + size > limit_) return false;
    blocks_.emplace(size, data);
    bytes_ += size;
    return true;
  }
  bool too_large(size_t size) const { return size > limit_ / 4; }
  size_t bytes() {
    const std::lock_guard lock(mutex_);
    return bytes_;
  }
  void drop() {
    const std::lock_guard lock(mutex_);
    for (const auto& [size, data] : blocks_) munmap(data, size);
    blocks_.clear();
    bytes_ = 0;
  }

 private:
  std::mutex mutex_;
  std::multimap<size_t, std::byte*> blocks_;
  size_t bytes_ = 0;
  const size_t limit_ = std::min<size_t>(size_t{256} << 20, system_memory().total / 32);
};

Kept& kept() {
  static Kept* blocks = new Kept;  // never destroyed: blocks may end after main
  return *blocks;
}

}  // namespace

MachineMemory machine_memory() {
  MachineMemory m = system_memory();
  m.free = std::min(m.total, m.free + kept().bytes());
  return m;
}

void drop_kept_blocks() { kept().drop(); }

Block::Block(size_t bytes, const char* what, Contents contents) : bytes_(bytes) {
  if (bytes == 0) return;
  if (bytes < small) {
    void* p = nullptr;
    if (posix_memalign(&p, alignment, round_up(bytes, alignment)) == 0) {
      if (contents == Contents::zero) std::memset(p, 0, round_up(bytes, alignment));
      data_ = static_cast<std::byte*>(p);
    }
  } else {
    const size_t size = mapped_size(bytes);
    if (contents == Contents::any) data_ = kept().take(size);
    if (!data_ && kept().too_large(size)) kept().drop();  // it may need what they hold
    for (int attempt = 0; !data_ && attempt < 2; ++attempt) {
      void* p =
          mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (p != MAP_FAILED) data_ = static_cast<std::byte*>(p);
      else kept().drop();
    }
  }
  if (!data_) {
    bytes_ = 0;
    fail(Code::memory, what, "the machine gives no " + std::to_string(bytes) + " bytes");
  }
}

void Block::reset() {
  if (!data_) return;
  if (bytes_ < small) {
    std::free(data_);
  } else if (!kept().keep(data_, mapped_size(bytes_))) {
    munmap(data_, mapped_size(bytes_));
  }
  data_ = nullptr;
  bytes_ = 0;
}

void Block::prefer_huge_pages() {
#ifdef MADV_HUGEPAGE
  if (data_ && bytes_ >= (size_t{4} << 20)) madvise(data_, bytes_, MADV_HUGEPAGE);
#endif
}

void Block::shrink(size_t bytes) {
  if (!data_ || bytes_ < small) return;
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t keep = round_up(bytes, page);
  if (keep < bytes_) madvise(data_ + keep, bytes_ - keep, MADV_DONTNEED);
}

#ifdef __APPLE__

namespace {

MachineMemory system_memory() {
  MachineMemory m;
  size_t size = sizeof m.total;
  sysctlbyname("hw.memsize", &m.total, &size, nullptr, 0);
  vm_statistics64_data_t stat;
  mach_msg_type_number_t count = HOST_VM_INFO64_COUNT;
  if (host_statistics64(mach_host_self(), HOST_VM_INFO64, reinterpret_cast<host_info64_t>(&stat), &count) ==
      KERN_SUCCESS)
    m.free = (uint64_t{stat.free_count} + stat.inactive_count) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  return m;
}

}  // namespace

#else

namespace {

/** The first number in a file; `otherwise` when there is none ("max"). */
uint64_t number_in(const char* path, uint64_t otherwise) {
  std::FILE* f = std::fopen(path, "r");
  if (!f) return otherwise;
  unsigned long long value = 0;
  const bool read = std::fscanf(f, "%llu", &value) == 1;
  std::fclose(f);
  return read ? value : otherwise;
}

/** A line "name value" or "name: value kB". */
uint64_t field_in(const char* path, const char* name) {
  std::FILE* f = std::fopen(path, "r");
  if (!f) return 0;
  char line[256];
  uint64_t value = 0;
  const size_t n = std::strlen(name);
  while (std::fgets(line, sizeof line, f)) {
    if (std::strncmp(line, name, n) != 0) continue;
    unsigned long long v = 0;
    char unit[3] = {};
    if (std::sscanf(line + n, "%*[: ]%llu %2s", &v, unit) >= 1) value = unit[0] == 'k' ? v * 1024 : v;
    break;
  }
  std::fclose(f);
  return value;
}

MachineMemory system_memory() {
  MachineMemory m{field_in("/proc/meminfo", "MemAvailable"), field_in("/proc/meminfo", "MemTotal")};
  struct Group {
    const char *limit, *used, *stat, *file;
  };
  constexpr Group groups[] = {
      {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory.stat",
       "inactive_file"},
      {"/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes",
       "/sys/fs/cgroup/memory/memory.stat", "total_inactive_file"},
  };
  for (const Group& g : groups) {
    const uint64_t limit = number_in(g.limit, 0);
    if (limit == 0 || limit >= m.total) continue;
    const uint64_t used = number_in(g.used, 0);
    const uint64_t cache = std::min(used, field_in(g.stat, g.file));
    m.total = limit;
    m.free = std::min(m.free, limit - std::min(limit, used - cache));
  }
  return m;
}

}  // namespace

#endif

}  // namespace moescope
