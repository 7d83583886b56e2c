import CGuise
import Glibc

/// The names in an open directory (O_PATH will do), each with its terminator, without `.` and `..`.
///
/// - Returns: `nil` when it cannot be listed; errno says why.
func directoryEntries(of directory: Int32) -> [[CChar]]? {
    var how = open_how(OpenRequest.Flag.directory | OpenRequest.Flag.closeOnExec)
    let open = guise_openat2(directory, ".", &how)
    guard open >= 0, let stream = fdopendir(open) else {
        if open >= 0 { close(open) }
        return nil
    }
    defer { closedir(stream) }
    var names: [[CChar]] = []
    while let entry = readdir(stream) {
        // The last entry of a buffer may end with it, long before d_name does.
        let start = (UnsafeRawPointer(entry) + MemoryLayout<dirent>.offset(of: \.d_name)!)
            .assumingMemoryBound(to: CChar.self)
        let name = UnsafeBufferPointer(start: start, count: strlen(start))
        if name.elementsEqual([0x2E]) || name.elementsEqual([0x2E, 0x2E]) { continue }
        names.append(Array(name) + [0])
    }
    return names
}

/// A name as people read it.
func text(ofName name: [CChar]) -> String {
    String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
}
