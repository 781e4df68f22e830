#include "base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace moescope {

MappedFile::MappedFile(const std::string& path) : path_(path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail(Code::file, path, std::string("cannot be opened: ") + std::strerror(errno));
  struct stat info;
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    close(fd);
    fail(Code::file, path, "is not a regular file");
  }
  bytes_ = static_cast<uint64_t>(info.st_size);
  if (bytes_ > 0) {
    void* p = mmap(nullptr, bytes_, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED) {
      const int error = errno;
      close(fd);
      fail(Code::file, path, std::string("cannot be mapped: ") + std::strerror(error));
    }
    data_ = static_cast<std::byte*>(p);
  }
  close(fd);
}

MappedFile::~MappedFile() {
  if (data_) munmap(data_, bytes_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)) {}

}  // namespace moescope
