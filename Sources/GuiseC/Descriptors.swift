// What these functions promise is in guise.h.
// swift-format-ignore-file: AllPublicDeclarationsHaveDocumentation

import AccessControl
import CGuiseInterface

@c @implementation
public func guise_sid_to_text(
    _ sid: UnsafeRawPointer?, _ length: Int, _ text: UnsafeMutablePointer<CChar>?, _ size: Int
) -> CInt {
    outcome {
        let bytes = try bytes(sid, length, "sid")
        let found: SID
        do throws(SIDError) { found = try SID(bytes: bytes) } catch {
            throw Failure.invalid("these \(length) bytes are no SID: \(error)")
        }
        return try write(found.description, to: text, size)
    }
}

@c @implementation
public func guise_sid_from_text(
    _ text: UnsafePointer<CChar>?, _ sid: UnsafeMutableRawPointer?, _ size: Int
) -> CInt {
    outcome { try write(try readSID(text, "text").bytes, to: sid, size) }
}

@c @implementation
public func guise_descriptor_to_sddl(
    _ descriptor: UnsafeRawPointer?, _ length: Int, _ text: UnsafeMutablePointer<CChar>?, _ size: Int
) -> CInt {
    outcome { try write(try readDescriptor(descriptor, length).sddl(), to: text, size) }
}

@c @implementation
public func guise_descriptor_from_sddl(
    _ sddl: UnsafePointer<CChar>?, _ descriptor: UnsafeMutableRawPointer?, _ size: Int
) -> CInt {
    outcome {
        let text = try text(sddl, "sddl")
        let parsed: SecurityDescriptor
        do throws(SDDLError) { parsed = try SecurityDescriptor(sddl: text) } catch {
            throw Failure.invalid("this is no SDDL: \(error)")
        }
        return try write(parsed.bytes, to: descriptor, size)
    }
}

/// A SID of the caller's, as text.
func readSID(_ pointer: UnsafePointer<CChar>?, _ what: String) throws(Failure) -> SID {
    let text = try text(pointer, what)
    guard let sid = SID(text) else { throw .invalid("\(what): \"\(text)\" is no SID (S-1-5-32-544)") }
    return sid
}

/// A self-relative security descriptor of the caller's.
func readDescriptor(_ pointer: UnsafeRawPointer?, _ count: Int) throws(Failure) -> SecurityDescriptor {
    let bytes = try bytes(pointer, count, "descriptor")
    do throws(DescriptorError) { return try SecurityDescriptor(bytes: bytes) } catch {
        throw .invalid("these \(count) bytes are no security descriptor: \(error)")
    }
}
