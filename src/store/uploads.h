// Multipart uploads: each function is the method of Store that bears its name, with its contract.
//
//   uploads.cc   create, find, list, abort
//   parts.cc     put_part: a part is a stream of its own under its own data key, and its 200 is a commit
//   complete.cc  complete: parts become an object that refers to their set; no part is rewritten
//   part_sets.h  what a completed object is made of, and how sets that nobody needs are dropped
#pragma once

#include "store/env.h"
#include "store/upload_records.h"

namespace archipel::store {

// NoSuchUpload.
std::unexpected<Error> no_such_upload();

// An upload under way, as of one state of the view; NoSuchUpload. For workers. `id`: its text.
Result<UploadRecord> read_upload(const index::Snapshot& snapshot, std::string_view bucket,
                                 std::string_view key, const std::string& id);

io::Task<Result<UploadInfo>> create_upload(Env& env, CreateUpload request);
io::Task<Result<UploadInfo>> find_upload(Env& env, std::string bucket, std::string key, std::string upload);
io::Task<Result<PartInfo>> put_part(Env& env, PartRequest request, BodySource& body);
io::Task<Result<ObjectInfo>> complete_upload(Env& env, CompleteUpload request);
io::Task<Result<void>> abort_upload(Env& env, std::string bucket, std::string key, std::string upload);
io::Task<Result<ListUploadsResult>> list_uploads(Env& env, ListUploadsRequest request);
io::Task<Result<ListPartsResult>> list_parts(Env& env, std::string bucket, std::string key,
                                             std::string upload, uint32_t after, size_t max_parts);

// What clients are told of a part.
PartInfo part_info(uint32_t number, const PartRecord& record);

}  // namespace archipel::store
