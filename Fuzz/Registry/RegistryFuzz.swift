// The fuzz targets of what the registry takes in from elsewhere, built by scripts/fuzz. What is fuzzed is chosen by the
// environment variable GUISE_FUZZ: regfile, hive or request.

import Glibc
import RegistryFiles
import RegistryHives
import RegistryModel

private let target = getenv("GUISE_FUZZ").map { String(cString: $0) } ?? "regfile"

private func entries(_ bytes: [UInt8], pieces size: Int) throws(RegistryFileError) -> [RegistryFileEntry] {
    var rest = bytes[...]
    var reader = try RegistryFileReader { () throws(RegistryFileError) in
        let part = Array(rest.prefix(size))
        rest = rest.dropFirst(size)
        return part
    }
    var all: [RegistryFileEntry] = []
    while let entry = try reader.next() { all.append(entry) }
    return all
}

private func fuzzFile(_ bytes: [UInt8]) {
    guard let read = try? entries(bytes, pieces: .max) else {
        precondition((try? entries(bytes, pieces: 3)) == nil)
        return
    }
    precondition((try? entries(bytes, pieces: 3)) == read)
    for encoding in [RegistryFileWriter.Encoding.utf16, .utf8] {
        var file: [UInt8] = []
        do {
            var writer = try RegistryFileWriter(encoding) { (part: [UInt8]) throws(RegistryFileError) in
                file += part
            }
            for entry in read { try writer.append(entry) }
            try writer.finish()
        } catch { fatalError("unwritable: \(error)") }
        precondition((try? entries(file, pieces: .max)) == read)
    }
}

#if Hives
    /// A file without a name, which each input replaces.
    private let file = open("/tmp", O_RDWR | O_CLOEXEC | 0o20_200_000, 0o600)

    private func fuzzHive(_ bytes: [UInt8]) {
        precondition(
            file >= 0 && ftruncate(file, 0) == 0 && pwrite(file, bytes, bytes.count, 0) == bytes.count)
        guard let hive = try? HiveFile(path: "/proc/self/fd/\(file)") else { return }
        var (keys, data) = (0, 0)
        while let key = try? hive.next() {
            keys += 1
            data += key.values.reduce(0) { $0 + $1.value.bytes.count }
        }
        precondition(keys <= bytes.count / 80 && data <= bytes.count)
    }
#endif

// libFuzzer plays on one thread.
nonisolated(unsafe) private let requests = Result { try RequestFuzz() }

private func fuzzRequests(_ bytes: [UInt8]) {
    do { try requests.get().play(bytes) } catch { fatalError("\(error)") }
}

/// What libFuzzer calls with each input.
@_cdecl("LLVMFuzzerTestOneInput")
public func playInput(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: data, count: size))
    switch target {
    #if Hives
        case "hive": fuzzHive(bytes)
    #endif
    case "request": fuzzRequests(bytes)
    default: fuzzFile(bytes)
    }
    return 0
}

/// libFuzzer's driver. The package manager wants a main function of ours, so libFuzzer's own is not used.
@_silgen_name("LLVMFuzzerRunDriver")
private func runFuzzer(
    _ argumentCount: UnsafeMutablePointer<CInt>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
    _ play: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

@main
private struct RegistryFuzz {
    static func main() {
        if target == "request" { atexit { try? requests.get().remove() } }
        var count = CommandLine.argc
        var arguments = CommandLine.unsafeArgv
        exit(runFuzzer(&count, &arguments) { data, size in playInput(data, size) })
    }
}
