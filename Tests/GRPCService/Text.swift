#if GRPC
    import GRPCCore

    /// Messages are texts, so that a client in any language needs no generated code.
    struct TextSerializer: MessageSerializer {
        func serialize<Bytes: GRPCContiguousBytes>(_ message: String) -> Bytes { Bytes(message.utf8) }
    }

    struct TextDeserializer: MessageDeserializer {
        func deserialize<Bytes: GRPCContiguousBytes>(_ bytes: Bytes) -> String {
            bytes.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
        }
    }

    extension MethodDescriptor {
        init(_ method: String) { self.init(fullyQualifiedService: "guise.test.Who", method: method) }
    }
#endif
