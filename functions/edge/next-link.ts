/** Address of a list's next page: the request's own, with the continuation as $skipToken. */
export function nextLinkOf(url: URL, continuation: string | undefined): string | null {
  if (continuation === undefined) return null;
  const next = new URL(url);
  next.searchParams.delete('skipToken');
  next.searchParams.set('$skipToken', continuation);
  return next.href;
}

/** The continuation a request brings. The SDKs spell it with and without the dollar sign. */
export function skipTokenOf(query: URLSearchParams): string | undefined {
  return query.get('$skipToken') ?? query.get('skipToken') ?? undefined;
}
