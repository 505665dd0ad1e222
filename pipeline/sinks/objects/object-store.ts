/** Where objects of an endpoint lie: a folder, a bucket, a container. All that `ObjectSink` needs of them. */
export interface ObjectStore {
  /**
   * Stores an object wholly or not at all. One that is there under this name already is left as it is, which is no error.
   * @param content as it is made; read once, at the speed at which it is stored
   * @param ended aborted when the object must not appear any more
   * @throws EndpointError, and what `content` throws; then nothing of it is there, or it is there wholly
   */
  put(name: string, content: AsyncIterable<Uint8Array>, ended: AbortSignal): Promise<void>
  /** True if an object is there, and stays there through a crash of what stores it. @throws EndpointError */
  has(name: string): Promise<boolean>
  /** Names that begin with a prefix, in any order. @throws EndpointError */
  list(prefix: string): AsyncIterable<string>
  /** True if the place is there and we may look at it. @throws EndpointError */
  accepts(): Promise<boolean>
  /**
   * Removes what attempts left behind that were cut off more than `ageMsMin` ago.
   * @param prefix of the names that are meant, of which `isOwn` says which are this endpoint's
   * @throws EndpointError
   */
  sweep(prefix: string, isOwn: (name: string) => boolean, ageMsMin: number): Promise<void>
  close(): Promise<void>
}
