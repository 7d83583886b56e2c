import Glibc

/// A text of the caller's.
func text(_ pointer: UnsafePointer<CChar>?, _ what: String) throws(Failure) -> String {
    guard let pointer else { throw .invalid("NULL was given for \(what)") }
    guard let text = String(validatingCString: pointer) else { throw Failure(EILSEQ, "\(what) is not UTF-8") }
    return text
}

/// Bytes of the caller's, at most as many as a security descriptor has. Copied, so that they stay what was looked at.
func bytes(_ pointer: UnsafeRawPointer?, _ count: Int, _ what: String) throws(Failure) -> [UInt8] {
    guard let pointer else { throw .invalid("NULL was given for \(what)") }
    guard (0...65_535).contains(count) else { throw .invalid("\(what) has at most 65535 bytes") }
    return [UInt8](UnsafeRawBufferPointer(start: pointer, count: count))
}

/// Writes a text as snprintf(3) does; returns its length.
func write(_ text: String, to buffer: UnsafeMutablePointer<CChar>?, _ size: Int) throws(Failure) -> CInt {
    guard size >= 0, buffer != nil || size == 0 else { throw noRoom }
    var text = text
    return text.withUTF8 { utf8 in
        if let buffer, size > 0 {
            let count = min(utf8.count, size - 1)
            if let start = utf8.baseAddress { memcpy(buffer, start, count) }
            buffer[count] = 0
        }
        return CInt(clamping: utf8.count)
    }
}

/// Writes bytes if all fit; returns how many there are.
func write(_ bytes: [UInt8], to buffer: UnsafeMutableRawPointer?, _ size: Int) throws(Failure) -> CInt {
    guard size >= 0, buffer != nil || size == 0 else { throw noRoom }
    if let buffer, bytes.count <= size { buffer.copyMemory(from: bytes, byteCount: bytes.count) }
    return CInt(clamping: bytes.count)
}

/// Puts an answer where the caller wants it.
func give<Value>(_ value: Value, to out: UnsafeMutablePointer<Value>?) throws(Failure) {
    guard let out else { throw .invalid("NULL was given for where the answer goes") }
    out.pointee = value
}

private var noRoom: Failure { .invalid("NULL was given for a buffer, and a size that is not 0") }
