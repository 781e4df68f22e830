// A file of the checkpoint, mapped read-only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace moescope {

class MappedFile {
 public:
  /** Throws `file` when it cannot be opened or mapped. */
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::byte* data() const { return data_; }
  uint64_t bytes() const { return bytes_; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  std::byte* data_ = nullptr;
  uint64_t bytes_ = 0;
};

}  // namespace moescope
